from hypothesis import settings

# Its memory of failures would lie in the checkout; its idea of slow depends on who else uses the machine.
settings.register_profile("ours", database=None, deadline=None, max_examples=60)
settings.load_profile("ours")
