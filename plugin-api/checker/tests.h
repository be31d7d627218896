/* The tests, one process each. Which there are depends on the plug-in: its interfaces and methods multiply some of them. */
#ifndef CHECK_TESTS_H
#define CHECK_TESTS_H

#include <jansson.h>
#include <stdbool.h>

#include "base/vec.h"

struct check_test {
  char *name; /* "call.chat.send.typical" */
  void (*fn)(const struct check_test *test);
  char *label;     /* method ("chat.send") or word of an interface ("chat"); NULL: none */
  int variant;
  const char *doc; /* one line, for --list */
};

struct check_tests {
  BT_VEC(struct check_test) v;
};

/* name is taken. */
void check_test_add(struct check_tests *tests, char *name, void (*fn)(const struct check_test *test), const char *label, int variant,
                    const char *doc);

/* Those that need only the .so; and those for what its manifest (bt_manifest_json) says. */
void check_tests_manifest(struct check_tests *tests);
void check_tests_life(struct check_tests *tests);
void check_tests_config(struct check_tests *tests);
void check_tests_calls(struct check_tests *tests, const json_t *manifest);
void check_tests_world(struct check_tests *tests, const json_t *manifest);
void check_tests_memory(struct check_tests *tests);
/* Those for what speaks the wire; but for one they need a sound manifest. */
void check_tests_wire(struct check_tests *tests, bool sound);

#endif
