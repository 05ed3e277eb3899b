# syntax=docker/dockerfile:1
# One image for worker, serve, produce, init and every other command: docker run movie-stream COMMAND. See
# docs/how-to/containers.md.
FROM python:3.13-slim AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /build
# To take debug symbols out of extension modules, which are a sixth of all that is installed.
RUN apt-get update && apt-get install --yes --no-install-recommends binutils && rm -rf /var/lib/apt/lists/*
COPY requirements-runtime.lock requirements-build.lock ./
# Nothing is fetched that has no hash there: what is published as source alone is built by what the build lock has.
RUN pip install --require-hashes --only-binary :all: --requirement requirements-build.lock \
 && pip wheel --require-hashes --no-deps --no-build-isolation --wheel-dir wheels --requirement requirements-runtime.lock
COPY pyproject.toml README.md LICENSE ./
COPY deploy/long_description.py deploy/
COPY data data
COPY movie_stream movie_stream
# The version comes from a tag in Git, which is not here.
ARG VERSION=0.0.0.dev0
RUN export SETUPTOOLS_SCM_PRETEND_VERSION=${VERSION} SETUPTOOLS_SCM_PRETEND_VERSION_FOR_MOVIE_STREAM=${VERSION} \
 && pip wheel --no-deps --no-build-isolation --wheel-dir wheels .
# A virtual environment of its own, without pip, is all that goes on; both stages have Python in the same place. Tests,
# headers, type stubs and the second of two backends of zstandard are not for running. Of NumPy nothing is stripped: its
# libraries were patched.
RUN python -m venv --without-pip /opt/movie-stream \
 && pip --python /opt/movie-stream install --no-deps --no-index --no-compile wheels/*.whl \
 && cd /opt/movie-stream/lib/python*/site-packages \
 && rm -rf numpy/_core/include numpy/f2py/tests zstandard/_cffi.*.so zstandard/backend_cffi.py \
 && find . -type d -name tests -prune -exec rm -rf {} + \
 && find . \( -name '*.pyi' -o -name '*.a' \) -delete \
 && find . -name '*.so' ! -path './numpy*' -exec strip --strip-unneeded {} +
# The kernels, in machine code for any processor of this architecture: else each start would compile them. Nothing else
# needs Numba. -P: those that are installed, not those of this folder.
RUN /opt/movie-stream/bin/python -P -m movie_stream.kernels \
 && rm -rf /opt/movie-stream/lib/python*/site-packages/numba /opt/movie-stream/lib/python*/site-packages/numba-*.dist-info \
 && /opt/movie-stream/bin/python -P -m movie_stream.kernels | grep 'compiled already'
# The bytecode of what commands import, Python's own modules among it, and of nothing else: the root is read-only, and to
# compile them at each start would double its time; all that is installed would be twice as much.
ENV PYTHONPYCACHEPREFIX=/opt/movie-stream/pycache
RUN /opt/movie-stream/bin/python -P -c 'import movie_stream.probe, movie_stream.cli, movie_stream.app, pkgutil, importlib, sys; \
      [importlib.import_module(m.name) for m in pkgutil.walk_packages(movie_stream.__path__, "movie_stream.") \
       if not m.name.startswith(("movie_stream.embedded", "movie_stream.app", "movie_stream.kernels.compiler"))]'

FROM python:3.13-slim
RUN groupadd --gid 10001 movie-stream \
 && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /tmp --shell /usr/sbin/nologin movie-stream \
 && install --directory --owner=10001 --group=10001 --mode=0750 /var/lib/movie-stream
COPY --link --from=build /opt/movie-stream /opt/movie-stream
ENV PATH=/opt/movie-stream/bin:${PATH} \
    PYTHONPYCACHEPREFIX=/opt/movie-stream/pycache PYTHONDONTWRITEBYTECODE=1 \
    XDG_STATE_HOME=/var/lib/movie-stream \
    METRICS_HOST=0.0.0.0 METRICS_PORT=9464 \
    API_HOST=0.0.0.0 API_PORT=8080
USER 10001:10001
WORKDIR /tmp
EXPOSE 8080 9464
# A worker that restores a large state is well, and not yet ready: five minutes, as the chart has it.
HEALTHCHECK --interval=10s --timeout=5s --start-period=300s --retries=3 CMD ["python", "-m", "movie_stream.probe"]
ENTRYPOINT ["movie-stream"]
CMD ["worker"]
ARG VERSION=0.0.0.dev0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="movie-stream" \
      org.opencontainers.image.description="Real-time analytics of movie views: Kafka in, exact results in MongoDB out" \
      org.opencontainers.image.licenses="MIT AND Apache-2.0 AND BSD-3-Clause" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
