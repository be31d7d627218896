/* The folder of policies: which files are policies, which are tests, and a fingerprint that changes when they do. */
#ifndef BT_POLICY_FOLDER_H
#define BT_POLICY_FOLDER_H

#include <stdbool.h>

#include "base/err.h"
#include "base/vec.h"

/* Names of *.lua (tests: of *_test.lua) in order; hidden files and what is no regular file are left out. print (may be NULL):
 * names, sizes, times and numbers of the files, for comparison; the caller frees. An absent folder is empty. */
int bt_policy_folder(const char *dir, bool tests, struct bt_strs *names, char **print, struct bt_err **err) BT_CHECK;

#endif
