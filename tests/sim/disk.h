/* A disk for the real SQLite, in memory and at odds with it: a VFS whose files know what of them was synced. It fails, fills up and tears
 * on demand, and after a death it is as the kernel had it (a killed process) or as the platters had it (a power cut: what was not synced is there
 * by chance, in sectors of 512 bytes). One disk a process; all its dice come from the seed. */
#ifndef BT_SIM_DISK_H
#define BT_SIM_DISK_H

#include <stdbool.h>
#include <stdint.h>

struct sim_disk_options {
  uint64_t seed;
  bool (*effect)(void *arg); /* asked before each write, truncation and sync: true where the server dies in this very one */
  int64_t (*wall_ms)(void);
  void *arg;
};

struct sim_disk_faults {
  unsigned write_eio, sync_eio, read_eio; /* of a million each */
  bool full;                              /* no file grows */
};

void sim_disk_new(const struct sim_disk_options *options); /* an empty disk; the process's default VFS from now on */
void sim_disk_free(void);
struct sim_disk_faults *sim_disk_faults(void);
/* Keeps what the disk is like at this moment. What is written from now on is of a process that is dead already. */
void sim_disk_dies(bool power_cut);
/* The disk as it was when it died; every handle must be closed. */
void sim_disk_back(void);
uint64_t sim_disk_writes(void);
uint64_t sim_disk_errors(void); /* faults that hit */

#endif
