#!/bin/sh
# Makes ./configure from configure.ac. Needs autoconf, automake, libtool and pkg-config.
set -e
cd "$(dirname "$0")"
mkdir -p config/aux config/m4
autoreconf --force --install --warnings=all
# autoconf's clean-up removes a core dump by the name "core"; here that is a folder.
sed -e 's/rm -f core conftest/rm -f conftest/' -e 's/rm -f core \*\.core/rm -f *.core/' configure >configure.tmp
cat configure.tmp >configure
rm -f configure.tmp
