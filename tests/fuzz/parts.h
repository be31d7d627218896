/* For fuzz targets of several decoders: each decoder is a part with a letter and a name. The first byte of an input is the letter; with
 * FUZZ_PART=NAME in the environment every input goes to that part, whatever its letter, so that a long run can count the executions of
 * each decoder; FUZZ_PART=? lists the names and ends. Header only: the replayer of the corpus and libFuzzer both link it. */
#ifndef FUZZ_PARTS_H
#define FUZZ_PARTS_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct fuzz_part {
  char letter;
  const char *name;
  void (*fn)(char *text, size_t len); /* text is a copy that may be changed; text[len] is NUL */
};

/* The part that the environment asks for; NULL where it asks for none. Ends the process after a list, or where there is no such part. */
static inline const struct fuzz_part *fuzz_part_wanted(const struct fuzz_part *parts, size_t n) {
  const char *name = getenv("FUZZ_PART");
  if (!name)
    return NULL;
  for (size_t i = 0; i < n; i++) {
    if (strcmp(parts[i].name, name) == 0)
      return &parts[i];
    if (strcmp(name, "?") == 0)
      puts(parts[i].name);
  }
  if (strcmp(name, "?") != 0)
    fprintf(stderr, "there is no part %s\n", name);
  fflush(stdout);
  _Exit(strcmp(name, "?") != 0);
}

/* Runs the part of an input; one with another letter does nothing. */
static inline int fuzz_parts(const struct fuzz_part *parts, size_t n, const uint8_t *data, size_t size) {
  static const struct fuzz_part *only;
  static int asked;
  if (!asked++)
    only = fuzz_part_wanted(parts, n);
  if (size < 1)
    return 0;
  const struct fuzz_part *part = only;
  for (size_t i = 0; !part && i < n; i++)
    if (parts[i].letter == (char)data[0])
      part = &parts[i];
  if (!part)
    return 0;
  char *text = malloc(size); /* exactly, so that a sanitizer sees a read behind its end */
  if (!text)
    abort();
  memcpy(text, data + 1, size - 1);
  text[size - 1] = '\0';
  part->fn(text, size - 1);
  free(text);
  return 0;
}

#define FUZZ_PARTS(parts)                                                     \
  int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {             \
    return fuzz_parts(parts, sizeof(parts) / sizeof(parts)[0], data, size); \
  }

#endif
