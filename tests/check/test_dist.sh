#!/usr/bin/env bash
# Every file of the tree goes into a release: a header that nobody lists is missed only by those who build from the archive.
# shellcheck source=tests/check/lib.sh
. "$(dirname "$0")/lib.sh"

# Listed itself, or in a folder that is.
missing=$(awk 'NR == FNR { listed[$0]; next }
  /^\.(ci|git)/ { next }
  { for (at = $0; !(at in listed); ) if (!sub("/[^/]*$", "", at)) { print; break } }' \
  <(make -s -C "$build" dist-list) <(sources '*'))
is "$missing" "" "every file is distributed"
done_testing
