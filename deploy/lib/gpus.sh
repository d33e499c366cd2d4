# shellcheck shell=sh
# The GPU monitor: beside the hub, where NVIDIA's driver and its container toolkit are.

host_has_toolkit() { command -v nvidia-container-runtime-hook >/dev/null || command -v nvidia-ctk >/dev/null; }

check_gpus() {
    if ! host_has_gpu; then
        return 0
    elif host_has_toolkit; then
        found "NVIDIA's driver and container toolkit"
    else
        note "NVIDIA's driver is here and its container toolkit is not: servers get no GPUs; install nvidia-container-toolkit and run deploy/up again"
    fi
}

# start_gpu_monitor: a project of its own, so that hub and proxy are the same with and without GPUs.
# The lab runs without it, too: nothing that goes wrong here ends deploy/up.
start_gpu_monitor() {
    if ! host_has_gpu || ! host_has_toolkit; then
        forget_gpus
    elif compose_run "$instance-gpus" compose.gpu.yaml up -d; then
        say "  GPU monitor started"
    else
        note "the GPU monitor could not be started, so GPUs are given out without a look at their health: $(grep -i error "$scratch/err" | tail -n 1); see $log"
    fi
}

# forget_gpus: what a monitor said last must not count on a machine whose GPUs were taken out.
forget_gpus() {
    if [ -n "$(docker ps -aq --filter "name=^/$instance-gpu-monitor\$")" ]; then
        docker rm --force "$instance-gpu-monitor" >/dev/null
        say "  GPU monitor removed"
    fi
    rm -f "$dir/state/gpus/gpus.json"
}
