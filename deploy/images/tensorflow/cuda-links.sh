# Shows the wheels' libraries where the official image has CUDA, so that its LD_LIBRARY_PATH finds them.
set -eu
cuda=/usr/local/cuda/lib64
for library in /usr/local/lib/python3*/dist-packages/nvidia/*/lib/*.so*; do
    ln -sf "$library" "$cuda/"
done
# TensorFlow opens the profiling library by its exact minor version; CUDA 11 keeps minors compatible.
ln -sf "$(ls "$cuda"/libcupti.so.11.* | head -n 1)" "$cuda/libcupti.so.11.2"
