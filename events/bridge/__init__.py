"""Does what Knative's broker does, where there is no Knative.

ingress: takes events over HTTP and publishes them on RabbitMQ. dispatcher: posts them to functions, and publishes what
these reply. `topology` says which queues there are, `messages` how an event lies in one, `function_client` what a
function's answer means, and `broker` is all that talks to RabbitMQ.
"""
