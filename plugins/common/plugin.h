/* What every plug-in of this tree has alike: the manifest and the table that it exports, and a configuration that is read whole
 * or refused with a sentence. Macros, since each plug-in defines these for itself; knows nothing of products. */
#ifndef PU_PLUGIN_H
#define PU_PLUGIN_H

#include <berth/plugin.h>
#include <stdbool.h>
#include <stdlib.h>

#define PU_MEMBERS(...) __VA_ARGS__

/* Defines the manifest and exports the plug-in. more_: further members of the manifest in parentheses, (.products = products). What
 * follows it are members of struct berth_plugin: .start = start, … */
#define PU_PLUGIN(id_, summary_, interfaces_, needs_, fields_, more_, ...)                               \
  static const struct berth_manifest manifest = {BERTH_MANIFEST_SIZES,                                   \
                                                 .id = id_,                                              \
                                                 .version = "0.1.0",                                     \
                                                 .summary = summary_,                                    \
                                                 .license = "MIT",                                       \
                                                 .interfaces = interfaces_,                              \
                                                 .needs = needs_,                                        \
                                                 .config = fields_,                                      \
                                                 PU_MEMBERS more_};                                      \
  extern const struct berth_plugin BERTH_PLUGIN_SYMBOL BERTH_EXPORT;                                     \
  const struct berth_plugin BERTH_PLUGIN_SYMBOL = {.size = sizeof(struct berth_plugin), .manifest = &manifest, __VA_ARGS__}

/* The sentence of the last refusal, which the contract lets live until the next call. */
static inline char **pu_sentence(void) {
  static char *sentence;
  return &sentence;
}

static inline char **pu_sentence_fresh(void) {
  char **sentence = pu_sentence();
  free(*sentence);
  *sentence = NULL;
  return sentence;
}

static inline enum berth_code pu_read(bool good, const char **why) {
  if (!good)
    *why = *pu_sentence();
  return good ? BERTH_OK : BERTH_INVALID;
}

/* Defines read_settings() and validate() over bool read(const char *config_json, type *out, char **sentence) and
 * void drop(type *settings). A refused configuration leaves nothing in *out. */
#define PU_SETTINGS(type, read, drop)                                                                        \
  static enum berth_code read_settings(const char *config_json, type *out, const char **why) {                 \
    return pu_read(read(config_json, out, pu_sentence_fresh()), why);                                        \
  }                                                                                                          \
  static enum berth_code validate(const char *config_json, const char **why) {                               \
    type settings;                                                                                           \
    enum berth_code code = read_settings(config_json, &settings, why);                                       \
    if (code == BERTH_OK)                                                                                    \
      drop(&settings);                                                                                       \
    return code;                                                                                             \
  }

#endif
