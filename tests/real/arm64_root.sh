#!/bin/sh
# Makes FOLDER with Python, NumPy and ONNX Runtime for arm64, which qemu-aarch64 runs here: Debian's packages, unpacked and not installed,
# and wheels. Python's version follows from Debian's, ONNX Runtime's and NumPy's from the Python that is on the path.
#
#     tests/real/arm64_root.sh FOLDER
#     OPTKIT_ARM64_ROOT=FOLDER pytest tests/real/test_portable_arm64.py
set -eu
root=$(mkdir -p "$1" && cd "$1" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/lists/partial" "$work/cache/archives/partial" "$work/debs" "$root/packages"
apt="apt-get -qq -o APT::Architecture=arm64 -o APT::Architectures::=arm64 -o Dir::State::lists=$work/lists -o Dir::Cache=$work/cache \
-o Dir::State::status=/dev/null -o APT::Sandbox::User=root"
$apt update
python=$($apt -s --no-install-recommends install python3-minimal | sed -n 's/^Inst \(python3\.[0-9]*\)-minimal .*/\1/p')
(cd "$work/debs" && $apt download "$python-minimal" "lib$python-minimal" "lib$python-stdlib" libc6 libgcc-s1 libstdc++6 zlib1g libexpat1 libffi8)
for package in "$work"/debs/*.deb; do dpkg-deb -x "$package" "$root"; done
ln -sf "usr/bin/$python" "$root/python"

here() { python -c "import $1; print($1.__version__)"; }
python -m pip download -q --no-deps -d "$work/wheels" --python-version "${python#python}" --only-binary=:all: \
    --platform manylinux_2_28_aarch64 --platform manylinux_2_27_aarch64 --platform manylinux_2_17_aarch64 --platform manylinux2014_aarch64 \
    "onnxruntime==$(here onnxruntime)" "numpy==$(here numpy)" flatbuffers packaging protobuf
for wheel in "$work"/wheels/*.whl; do python -m zipfile -e "$wheel" "$root/packages"; done

# ONNX Runtime looks at /proc and /sys for the kind of CPU, and QEMU shows this machine's there unless the folder has its own
mkdir -p "$root/proc" "$root/sys/devices/system/cpu"
for file in possible present online; do echo 0 > "$root/sys/devices/system/cpu/$file"; done
cat > "$root/proc/cpuinfo" <<'CPU'
processor	: 0
BogoMIPS	: 100.00
Features	: fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp
CPU implementer	: 0x41
CPU architecture: 8
CPU variant	: 0x3
CPU part	: 0xd0b
CPU revision	: 1

CPU
