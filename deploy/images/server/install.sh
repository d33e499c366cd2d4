# The server's packages, and one ipykernel tree for each Python an image may bring without one.
set -eu
root=/opt/labserver
"$root/base/bin/python3" -I -m venv "$root"
"$root/bin/python3" -I -m pip install --no-cache-dir --no-deps --only-binary :all: -r /recipe/requirements.lock
# pip resolves another Python's requirements wrongly, uv does not; the locks are complete anyway.
python3 -m venv /tmp/tools
/tmp/tools/bin/pip install --quiet --no-cache-dir --only-binary :all: uv==0.9.7
for lock in /recipe/ipykernel-py3*.lock; do
    tag=${lock##*-py3}
    minor=${tag%.lock}
    env -u PIP_CONFIG_FILE /tmp/tools/bin/uv pip install --quiet --no-cache --no-deps --only-binary :all: \
        --python-version "3.$minor" --python-platform x86_64-manylinux_2_28 \
        --target "$root/share/ipykernel/py3$minor" -r "$lock"
done
rm -rf /tmp/tools
