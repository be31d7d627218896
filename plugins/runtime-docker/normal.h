/* The engine's answers in Berth's own shapes (berth/runtime.h says which), the same for Docker and Podman. Pure. All give a
 * new reference. */
#ifndef RD_NORMAL_H
#define RD_NORMAL_H

#include <berth/plugin.h>
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

json_t *rd_normal_inspect(const json_t *container);
json_t *rd_normal_list(const json_t *containers);
json_t *rd_normal_image(const json_t *image);
json_t *rd_normal_networks(const json_t *networks);
json_t *rd_normal_volumes(const json_t *answer);
json_t *rd_normal_stats(const json_t *stats); /* NULL: the container does not run, so there is nothing to measure */
json_t *rd_normal_prune(const json_t *answer);
/* version is the answer of /version, info that of /info. */
json_t *rd_normal_info(const json_t *version, const json_t *info, int api);
/* NULL: an event that the contract does not name. */
json_t *rd_normal_event(const json_t *event);

/* True where the version's answer comes from Podman. */
bool rd_is_podman(const json_t *version);

/* A code for a refusal of the engine: its status, and its sentence where the status says too little. */
enum berth_code rd_code(int status, const char *sentence);
/* A code for an error inside a stream (pull, build), which has no status. */
enum berth_code rd_code_text(const char *sentence, enum berth_code fallback);
/* The engine's sentence out of an error body: {"message"}, Podman's {"cause","message"}, or the text itself, cut to 2 KiB. */
char *rd_sentence(const char *body, size_t len);

/* Why the network or volume that is there is not the one wanted: a sentence, or NULL where they agree. The caller frees. */
char *rd_network_differs(const json_t *there, const json_t *spec);
char *rd_volume_differs(const json_t *there, const json_t *spec);

#endif
