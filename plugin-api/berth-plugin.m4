# berth-plugin.m4: for configure scripts of plug-ins of Berth.
#
# BERTH_CHECK_PLUGIN([MINIMUM-VERSION])
# -------------------------------------
# Finds the headers with pkg-config, or ends with what is missing. Sets and substitutes
#   BERTH_PLUGIN_CFLAGS  flags of the compiler
#   plugindir            where the server looks for plug-ins ("plugin_LTLIBRARIES" goes there); --with-plugindir names another
#   BERTH_PLUGIN_CHECK   berth-plugin-check, or empty where it is not installed
AC_DEFUN([BERTH_CHECK_PLUGIN], [
  AC_REQUIRE([PKG_PROG_PKG_CONFIG])
  PKG_CHECK_MODULES([BERTH_PLUGIN], [berth-plugin]m4_ifval([$1], [ >= $1]))
  AC_ARG_WITH([plugindir],
    [AS_HELP_STRING([--with-plugindir=DIR], [where Berth looks for plug-ins, instead of what pkg-config says])],
    [plugindir=$withval],
    [plugindir=`$PKG_CONFIG --variable=plugindir berth-plugin`])
  AC_SUBST([plugindir])
  AC_PATH_PROG([BERTH_PLUGIN_CHECK], [berth-plugin-check])
])
