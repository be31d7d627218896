#include "config.h"
#include "dockerfile.h"

#include <strings.h>

#include "util.h"

static const struct {
  const char *instruction, *option, *told;
} options[] = {{"RUN", "--mount=", "RUN --mount"},   {"RUN", "--network=", "RUN --network"}, {"RUN", "--security=", "RUN --security"},
               {"COPY", "--chmod=", "COPY --chmod"}, {"ADD", "--chmod=", "ADD --chmod"},     {"COPY", "--link", "COPY --link"},
               {"ADD", "--link", "ADD --link"}};

/* Blanks, and line ends behind a backslash. */
static const char *skip_blanks(const char *p) {
  for (;;) {
    size_t more = *p == '\\' ? strspn(p + 1, " \t\r") : 0;
    if (*p == ' ' || *p == '\t')
      p++;
    else if (*p == '\\' && p[1 + more] == '\n')
      p += more + 2;
    else
      return p;
  }
}

static const char *found(const char *instruction, size_t len, const char *option) {
  for (size_t i = 0; i < PU_COUNT(options); i++)
    if (strlen(options[i].instruction) == len && strncasecmp(instruction, options[i].instruction, len) == 0 &&
        pu_starts(option, options[i].option))
      return options[i].told;
  return NULL;
}

const char *rd_dockerfile_buildkit(const char *text) {
  for (const char *p = text; *p; p += strcspn(p, "\n"), p += *p == '\n') {
    const char *instruction = p + strspn(p, " \t");
    size_t len = strcspn(instruction, " \t\r\n\\");
    const char *at = instruction + len;
    if (!*at || *at == '\n')
      continue;
    for (at = skip_blanks(at); pu_starts(at, "--"); at = skip_blanks(at)) {
      const char *told = found(instruction, len, at);
      if (told)
        return told;
      at += strcspn(at, " \t\r\n");
    }
  }
  return NULL;
}
