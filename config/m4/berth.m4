dnl Berth's own configure macros: compiler flags, probed one by one.

dnl BERTH_TRY_FLAG(FLAG, VARIABLE): adds FLAG to VARIABLE where the compiler takes it.
AC_DEFUN([BERTH_TRY_FLAG], [
  AS_VAR_PUSHDEF([cv], [berth_cv_flag_$1])
  AC_CACHE_CHECK([whether $CC takes $1], [cv], [
    berth_save_CFLAGS=$CFLAGS
    CFLAGS="$CFLAGS -Werror $1"
    AC_LINK_IFELSE([AC_LANG_PROGRAM([[int x;]], [[x = 1;]])], [AS_VAR_SET([cv], [yes])], [AS_VAR_SET([cv], [no])])
    CFLAGS=$berth_save_CFLAGS])
  AS_VAR_IF([cv], [yes], [$2="$$2 $1"])
  AS_VAR_POPDEF([cv])])

AC_DEFUN([BERTH_SANITIZERS], [
  BERTH_SAN=
  AC_ARG_ENABLE([asan], [AS_HELP_STRING([--enable-asan], [AddressSanitizer])])
  AC_ARG_ENABLE([ubsan], [AS_HELP_STRING([--enable-ubsan], [UndefinedBehaviorSanitizer])])
  AC_ARG_ENABLE([tsan], [AS_HELP_STRING([--enable-tsan], [ThreadSanitizer])])
  AC_ARG_ENABLE([coverage], [AS_HELP_STRING([--enable-coverage], [gcov instrumentation])])
  AS_IF([test "x$enable_asan" = xyes], [BERTH_SAN="$BERTH_SAN -fsanitize=address"])
  AS_IF([test "x$enable_ubsan" = xyes], [BERTH_SAN="$BERTH_SAN -fsanitize=undefined -fno-sanitize-recover=undefined"])
  AS_IF([test "x$enable_tsan" = xyes], [BERTH_SAN="$BERTH_SAN -fsanitize=thread"])
  AS_IF([test "x$enable_coverage" = xyes], [BERTH_SAN="$BERTH_SAN --coverage"])
  AS_IF([test -n "$BERTH_SAN"], [BERTH_SAN="$BERTH_SAN -fno-omit-frame-pointer -g"])
  AC_SUBST([BERTH_SAN])
  AM_CONDITIONAL([SANITIZED], [test -n "$BERTH_SAN"])])

AC_DEFUN([BERTH_HARDENING], [
  BERTH_WARN= BERTH_HARD= BERTH_LINK=
  AC_ARG_ENABLE([werror], [AS_HELP_STRING([--enable-werror], [warnings are errors])])
  for flag in -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wold-style-definition \
      -Wpointer-arith -Wwrite-strings -Wvla -Wundef -Wformat=2 -Wno-format-nonliteral -Wimplicit-fallthrough -Wcast-qual \
      -Wno-missing-field-initializers; do
    BERTH_TRY_FLAG([$flag], [BERTH_WARN])
  done
  AS_IF([test "x$enable_werror" = xyes], [BERTH_WARN="$BERTH_WARN -Werror"])
  for flag in -fvisibility=hidden -fstack-protector-strong -fstack-clash-protection -fcf-protection \
      -ftrivial-auto-var-init=zero -fno-strict-aliasing; do
    BERTH_TRY_FLAG([$flag], [BERTH_HARD])
  done
  AS_IF([test -z "$BERTH_SAN"], [
    AS_CASE([" $CFLAGS "], [*" -O0 "*], [], [BERTH_HARD="$BERTH_HARD -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2"])])
  for flag in -Wl,-z,relro -Wl,-z,now -Wl,-z,noexecstack; do
    BERTH_TRY_FLAG([$flag], [BERTH_LINK])
  done
  # Neither where the source lies nor where it is built shows in what is built.
  BERTH_TRY_FLAG([-ffile-prefix-map=\$(abs_srcdir)=.], [BERTH_HARD])
  BERTH_TRY_FLAG([-ffile-prefix-map=\$(abs_builddir)=.], [BERTH_HARD])
  BERTH_TRY_FLAG([-ffile-prefix-map=\$(srcdir)/=], [BERTH_HARD])
  AC_SUBST([BERTH_WARN])
  AC_SUBST([BERTH_HARD])
  AC_SUBST([BERTH_LINK])])
