# What a running server never reads.
set -eu
root=/opt/labserver
stdlib=$root/base/lib/python3.13
site=$root/lib/python3.13/site-packages
# Kernels come from the image: without ipykernel here nothing can fall back to the bundle's Python.
# rfc3987-syntax and lark cost 0.7 s of every start for a check of international URLs nobody uses.
# The other formats jsonschema can check cost imports as well. The rest is the hub's half of JupyterHub
# (see trim/README.md), and a resolver that is slower to import than the C library's.
"$root/bin/python3" -I -m pip uninstall --quiet --yes ipykernel debugpy \
    rfc3987-syntax lark arrow fqdn isoduration uri-template webcolors \
    sqlalchemy alembic mako certipy cryptography pamela pydantic pydantic-core annotated-types typing-inspection \
    aiodns pycares pip
rm -rf "$site/jupyterhub/handlers" "$site/jupyterhub/apihandlers" "$site/jupyterhub/alembic"
cp -R /recipe/trim/jupyterhub /recipe/trim/sqlalchemy "$site/"
rm -rf "$root/share/jupyter/kernels" "$root/etc/jupyter/jupyter_notebook_config.d" "$root/etc/jupyter/nbconfig"
rm -rf "$stdlib/ensurepip" "$stdlib/idlelib" "$stdlib/tkinter" "$stdlib/turtledemo" "$stdlib/test" \
    "$stdlib"/config-* "$stdlib/pydoc_data" "$stdlib"/EXTERNALLY-MANAGED
# JupyterLab reads its own version from staging/package.json.
find "$site/jupyterlab/staging" -mindepth 1 ! -name package.json -delete
rm -rf "$root/share/jupyter/lab/staging" "$root/share/man" "$root/share/applications" "$root/share/icons"
find "$root" -name '*.js.map' -delete
find "$root" -name '*.css.map' -delete
find "$root" -name '*.pyi' -delete
find "$root" -type d \( -name tests -o -name test \) -path '*/site-packages/*' -prune -exec rm -rf {} +
find "$root/share/ipykernel" -type d -name tests -prune -exec rm -rf {} +
find "$root" -type d -name __pycache__ -prune -exec rm -rf {} +
rm -rf "$root"/bin/activate* "$root"/bin/Activate* "$root/include" "$root/share/ipykernel"/py3*/bin \
    "$root/share/ipykernel"/py3*/share "$root/share/ipykernel"/py3*/.lock
