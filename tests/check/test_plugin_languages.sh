#!/usr/bin/env bash
# "berth plugin new" in Python and Lua: what it makes passes its tests at once and is taken by the server. And the CI files that it makes,
# in each language: their steps, taken out of them, are run in a clean folder.
# timeout: 300
# shellcheck source=tests/check/lib.sh
. "$(dirname "$0")/lib.sh"
export ASAN_OPTIONS=detect_leaks=0
[ -x "$build/core/berthd" ] || skip_all "there is no build in $build"
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
chmod 755 "$dir"
export TMPDIR=$dir/tmp HOME=$dir/home
mkdir "$TMPDIR" "$HOME"
root=$dir/root
prefix=$(sed -n 's/^prefix *= *//p' "$build/Makefile" | head -n 1)
succeeds "Berth is installed" make -C "$build" -s install-berthincludeHEADERS install-pkgconfigDATA install-template install-binPROGRAMS \
  install-pkglibexecPROGRAMS DESTDIR="$root"
sed -i "s,^prefix=.*,prefix=$root$prefix," "$root$prefix/lib/pkgconfig/berth-plugin.pc" # as if it had been configured so
export PKG_CONFIG_PATH=$root$prefix/lib/pkgconfig
export PATH=$root$prefix/bin:$PATH
interfaces=$(cd plugin-api/include/berth && for header in *.h; do echo "${header%.h}"; done | grep -vxE 'plugin|host')
cd "$dir" || exit 1

# one NAME: the whole check of some, and the calls of all, which is where they differ; then the server's look at the sample configuration.
one() {
  local name=$1 rc=0 only='call.*'
  [[ $name != monitor-* ]] || only='[cr]*' # its routes, too
  case $name in
  chat-python | scm-lua) make -C "$name" check ;;
  *-python) (cd "$name" && python3 tests/test_plugin.py && berth-plugin-check --only "$only" --config tests/config.json --command "python3 src/$name.py") ;;
  *) (cd "$name" && berth-plugin-check --only "$only" --config tests/config.json --http-script tests/http.json "src/$name.lua") ;;
  esac >"$name.out" 2>&1 || rc=$?
  sed -E "s,/etc/berth/plugins/($name/)?,$dir/$name/src/," "$name/berthd.yaml" | sed 's/{secret: .*}/x/' >"$name.yaml"
  printf 'state: {path: %s/%s.db}\nrun_dir: %s/run\n' "$dir" "$name" "$dir" >>"$name.yaml"
  "$build/core/berthd" --config "$name.yaml" --check >"$name.berthd" 2>&1 || rc=$((rc + 100))
  echo "$rc" >"$name.rc"
}
for language in python lua; do
  for interface in $interfaces; do
    name=$interface-$language
    made=$(berth plugin new "$name" --interface "$interface" --language "$language" --format json)
    is "$(jq -r '.language, .files[]' <<<"$made" | sort)" "$({ echo "$language"; cd "$name" && find . -type f | sed 's,^\./,,'; } | sort)" "$name: the files are named"
    is "$(grep -rlE '@(NAME|IDENT|INTERFACE|LICENSE|YEAR|BERTH_VERSION)@' "$name")" "" "$name: no word of the template is left"
    one "$name" &
  done
done

# steps FILE FOLDER: the commands of a CI file as its service runs them, each step of GitHub's in a shell of its own, in that folder.
steps() {
  python3 - "$1" "$2" <<'PY'
import shlex, sys, yaml
job = yaml.safe_load(open(sys.argv[1]))
folder = "cd " + shlex.quote(sys.argv[2])
if "jobs" in job:
    for step in job["jobs"]["check"]["steps"]:
        if "run" in step:
            set_ = " ".join(f"{k}=$GIVEN" for k, v in step.get("env", {}).items() if "vars." + k in v)
            print(f"(\n{folder}\n{'export ' + set_ if set_ else ':'}\n{step['run']}\n)")
else:
    print("\n".join([folder, "export BERTH_REPOSITORY=$GIVEN", *job["check"]["before_script"], *job["check"]["script"]]))
PY
}
# Berth's repository, as far as those steps see it: what is built and installed from it is $root, here. apt-get only notes its packages.
mkdir -p repository/config bin ci
cp "$src/config/packages" repository/config/
printf '#!/bin/sh\necho autogen >>$HOME/done\n' >repository/autogen.sh
printf '#!/bin/sh\necho configure "$@" >>$HOME/done\n' >repository/configure
printf 'all:\ninstall: all\n\techo make install >>$(HOME)/done\n' >repository/Makefile
chmod 755 repository/autogen.sh repository/configure
git -C repository init -q && git -C repository add -A && git -C repository -c user.name=x -c user.email=x@example.org commit -qm begin
printf '#!/bin/sh\n[ "$1" = update ] || { shift 2; echo "$@" | tr " " "\\n" >>$HOME/packages; }\n' >bin/apt-get
printf '#!/bin/sh\nexec %s --only "manifest.*" "$@"\n' "$root$prefix/bin/berth-plugin-check" >bin/berth-plugin-check
chmod 755 bin/*
berth plugin new chat-c --interface chat --license ISC >/dev/null 2>&1
ci() {
  local id=$1-$2 file=.gitlab-ci.yml
  [ "$2" = gitlab ] || file=.github/workflows/ci.yml
  cp -r "chat-$1" "ci/$id" && make -s -C "ci/$id" clean
  mkdir "$HOME/$id"
  steps "ci/$id/$file" "$dir/ci/$id" >"ci/$id.sh"
  GIVEN=file://$dir/repository HOME=$HOME/$id PATH=$dir/bin:$PATH sh -e "ci/$id.sh" >"ci/$id.out" 2>&1
  echo $? >"ci/$id.rc"
}
for language in c python lua; do
  for service in github gitlab; do ci $language $service & done
done
wait

for language in python lua; do
  for interface in $interfaces; do
    name=$interface-$language
    ok "$(cat "$name.rc")" "$name: it passes its tests, and berthd takes its sample configuration"
    [ "$(cat "$name.rc")" -eq 0 ] || grep -hA8 -E '^not ok|Error|berthd:' "$name.out" "$name.berthd" | head -n 30 | sed 's/^/# /'
    like "$(cat "$name.out")" "^ok [0-9]+ - call\.$interface\.probe|^ok [0-9]+ - call\.runtime\.info" "$name: berth-plugin-check has been at it"
  done
done
for language in c python lua; do
  for service in github gitlab; do
    id=$language-$service
    ok "$(cat "ci/$id.rc")" "$id: the steps of the CI file run to their end"
    [ "$(cat "ci/$id.rc")" -eq 0 ] || tail -n 15 "ci/$id.out" | sed 's/^/# /'
    is "$(cat "$HOME/$id/done")" "autogen"$'\n'"configure --prefix=/usr"$'\n'"make install" "$id: Berth is built and installed from its repository"
    is "$(sort "$HOME/$id/packages" | grep -cxE 'git|libjansson-dev|gcc|make')" 5 "$id: with the packages that it needs, after git"
    like "$(cat "ci/$id.out")" "^ok [0-9]+ - manifest\.whole" "$id: then the plug-in is tested"
  done
done
like "$(cat ci/c-github.out)" "berth-plugin-check is left out: it loads no plug-in with a sanitizer" "c: under the sanitizers without what cannot load it"
is "$(find "$TMPDIR" -mindepth 1)" "" "nothing is left behind"
done_testing
