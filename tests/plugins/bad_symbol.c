/* Uses a function that nobody has: the linker refuses it. */
#include "simple.h"

void berth_function_that_nobody_has(void);

static void simple_send(struct berth_instance *self, berth_op op, const struct berth_chat_send *request) {
  (void)self, (void)op, (void)request;
  berth_function_that_nobody_has();
}
