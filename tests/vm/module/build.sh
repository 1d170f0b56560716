#!/bin/sh
# build.sh HEADERS VERSION OUT: builds OUT/carom_nic.ko for a kernel of Debian's, whose packages linux-headers
# (two of them) and linux-kbuild were unpacked into the folder HEADERS by dpkg -x.
set -eu
headers=$(realpath "$1") version=$2
mkdir -p "$3"
out=$(realpath "$3")
here=$(dirname "$(realpath "$0")")
own=$headers/usr/src/linux-headers-$version
common=$(ls -d "$headers/usr/src/linux-headers-${version%-amd64}-common")
cp "$here"/*.c "$here"/*.h "$here"/Kbuild "$out"
# Debian's own Makefile has the path in it under which the package would be installed.
exec make -s -C "$own" -f "$common/Makefile" KBUILD_OUTPUT="$own" srctree="$common" \
  M="$out" CC=gcc CONFIG_DEBUG_INFO_BTF_MODULES= CONFIG_CC_HAS_MIN_FUNCTION_ALIGNMENT= modules
