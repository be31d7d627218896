/* What stands in other files than Compose's. Inside the Compose room only. */
#ifndef BT_COMPOSE_FILES_H
#define BT_COMPOSE_FILES_H

#include "compose/internal.h"

/* Takes env_file and label_file of every service into environment and labels. env_file goes, label_file stays to be seen,
 * as in the reference. */
void bt_compose_read_variables(struct bt_load *load, struct bt_yaml *tree);
/* Gathers the contents of secrets and configs in load->result->contents. What cannot be read is an error, unless
 * skip_berth_checks. */
void bt_compose_read_contents(struct bt_load *load, struct bt_yaml *tree);

#endif
