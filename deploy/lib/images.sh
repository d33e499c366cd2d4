# shellcheck shell=sh
# The images this instance runs: which ones, which are missing, and how they come here.

official_tensorflow=tensorflow/tensorflow:2.9.0-gpu-jupyter
local_tensorflow=labhub/tensorflow:2.9.0-jupyter-local
build=$deploy/images/build.sh

# name_images: the names the sources in this checkout lead to, without building anything.
name_images() {
    hub_tag=$(image_name hub)
    server_tag=$(image_name server)
    bundle=$(image_name bundle)
}

image_name() {
    "$build" name "$1" || die "$build could not name the $1 image: is this checkout complete?"
}

# count_missing_images: sets images_mib, the disk space that getting them takes (download, build
# stages and result together; measured, rounded up).
count_missing_images() {
    images_mib=512
    [ "$engine_plan" = none ] && have_image "$hub_tag" || images_mib=$((images_mib + 1536))
    [ "$engine_plan" = none ] && have_volume "$bundle" || images_mib=$((images_mib + 2816))
    ! tensorflow_is_wanted || have_tensorflow || images_mib=$((images_mib + 7168))
}

have_volume() { docker volume inspect "$1" >/dev/null 2>&1; }

tensorflow_is_wanted() {
    [ ! -e "$dir/labhub.yaml" ] || grep -q "image:.*\($local_tensorflow\|$official_tensorflow\)" "$dir/labhub.yaml"
}

have_tensorflow() {
    [ "$engine_plan" = none ] && { have_image "$official_tensorflow" || have_image "$local_tensorflow"; }
}

make_hub_image() {
    obtain "the hub image" hub
    hub_tag=$result
}

make_server_bundle() {
    obtain "the server bundle" bundle
    bundle=$result
}

# obtain WHAT BUILD-COMMAND...: $result is the name of what is there afterwards.
obtain() {
    obtained=$1
    shift
    lock_machine
    long "$obtained" env LABHUB_BUILD_LOG="$scratch/build.log" "$build" "$@" ||
        die "$obtained could not be made: $(build_error); the whole log is in $log"
    unlock_machine
    say "  $obtained: $result"
}

build_error() {
    sed -n 's/^error: //p' "$scratch/err" | tail -n 1
    cat "$scratch/build.log" >>"$log" 2>/dev/null || :
}

# get_user_images: every image labhub.yaml offers; without a labhub.yaml, TensorFlow 2.9.
get_user_images() {
    tensorflow=
    if [ ! -e "$dir/labhub.yaml" ]; then
        get_tensorflow
        return
    fi
    read_facts
    for image in $(fact images); do
        get_image "$image"
    done
}

get_tensorflow() {
    if host_has_gpu; then
        obtain "TensorFlow 2.9 (with GPU libraries)" tensorflow gpu
    else
        obtain "TensorFlow 2.9" tensorflow
    fi
    tensorflow=$result
}

host_has_gpu() { [ -e /proc/driver/nvidia/version ] || nvidia-smi -L >/dev/null 2>&1; }

get_image() {
    case $1 in
        "$local_tensorflow") get_local_tensorflow ;;
        "$official_tensorflow") get_official_tensorflow ;;
        *) get_other_image "$1" ;;
    esac
}

# The local image is built, never pulled; its recipe may have changed since the last run.
get_local_tensorflow() {
    if have_image "$official_tensorflow"; then
        have_image "$local_tensorflow" ||
            die "$dir/labhub.yaml offers $local_tensorflow, and this machine has the official image: write 'image: $official_tensorflow' instead"
        say "  TensorFlow 2.9: $local_tensorflow"
        return
    fi
    LABHUB_PULL=no
    export LABHUB_PULL
    get_tensorflow
}

get_official_tensorflow() {
    get_tensorflow
    [ "$tensorflow" = "$official_tensorflow" ] ||
        die "$dir/labhub.yaml offers $official_tensorflow, which is not on this machine and no registry answers: write 'image: $tensorflow' (built here) instead, or bring the official image with docker load"
}

get_other_image() {
    if have_image "$1"; then
        say "  $1"
        return
    fi
    long "pulling $1" docker pull "$1" ||
        note "$1 is offered in $dir/labhub.yaml, is not on this machine and cannot be pulled: users who choose it are told so; bring it with docker load or docker build"
}
