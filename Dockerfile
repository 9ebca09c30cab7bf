# One recipe, two images. `light` runs every function but convert, the bridge and the migrations; `convert` is the same with
# media tools on top. FUNCTION_TARGET picks the function:
#
#   docker build --target light -t video-to-mp3/light .    docker build --target convert -t video-to-mp3/convert .
#
# Only wheels with known hashes are installed, so nothing is compiled, and nothing belongs to one architecture. The files are
# complete, so nothing is resolved either: what a registry publishes tomorrow cannot matter. `pip check` says if one is missing.

FROM python:3.13-slim AS packages
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore PIP_ONLY_BINARY=:all: PIP_REQUIRE_HASHES=1
COPY requirements/light.txt /requirements/
# Of the 439 services that botocore describes (27 MB) a mailer needs two: SES, and STS for the rights to use it.
RUN pip install --no-deps --prefix /light -r /requirements/light.txt \
 && PYTHONPATH=$(echo /light/lib/python3*/site-packages) pip check \
 && cd /light/lib/python3*/site-packages \
 && find botocore/data -mindepth 1 -maxdepth 1 -type d ! -name sesv2 ! -name sts -exec rm -r {} + \
 && find . -type d -name tests -prune -exec rm -r {} +


FROM python:3.13-slim AS light
# A read-only root keeps no bytecode that is made at start, and the base image comes without the standard library's: a cold
# start would take half as long again. pip makes that of packages. It goes itself, for nothing is added to what runs.
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
# bash talks to the port itself: a Python for every look would cost twenty times as much, in a dozen containers, for ever.
HEALTHCHECK --interval=10s --timeout=2s --start-period=30s \
    CMD ["bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/$PORT && printf 'GET /_/health HTTP/1.0\\r\\n\\r\\n' >&3 && read -r _ status _ <&3 && [ $status = 200 ]"]
CMD ["gunicorn", "-c", "functions/runtime/gunicorn.conf.py", "functions_framework:create_app()"]


FROM packages AS media
COPY requirements/convert.txt /requirements/
# What light has counts as installed, so this is the difference alone.
RUN PYTHONPATH=$(echo /light/lib/python3*/site-packages) pip install --no-deps --prefix /media -r /requirements/convert.txt \
 && PYTHONPATH=$(echo /light/lib/python3*/site-packages):$(echo /media/lib/python3*/site-packages) pip check \
 && find /media -type d -name tests -prune -exec rm -r {} +


FROM light AS convert
COPY --from=media /media /usr/local
# ffmpeg never runs outside its jail: better no image than one that could not build it.
RUN command -v setpriv && command -v prlimit && python -c 'from functions.convert.transcode import binary; print(binary())'
# One video and its MP3 at a time lie below /tmp: give it a disk with room, of its own, not memory.
# What a killed container left there is of no use to its successor.
CMD ["sh", "-c", "rm -rf /tmp/convert-* && exec gunicorn -c functions/runtime/gunicorn.conf.py 'functions_framework:create_app()'"]
