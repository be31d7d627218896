/* Where the running program stands, and what belongs to it: in the build tree that it was made in, or beside it in an installation
 * that may have been moved. Linux: /proc/self/exe. */
#ifndef BT_BASE_PROGRAM_H
#define BT_BASE_PROGRAM_H

/* The file or folder "core/berth" of the build tree that the program stands in, which has config.status beside it. NULL where there is
 * no such tree or no such file. The caller frees. */
char *bt_program_built(const char *file);
/* "../share/berth" seen from the program's folder; NULL where it is not there. The caller frees. */
char *bt_program_beside(const char *file);

#endif
