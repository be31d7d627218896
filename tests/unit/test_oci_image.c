/* runtime-oci's images, the pure parts: names and whiteouts of layers, indexes, manifests, configurations, the store's index. */
#include "../../plugins/common/util.h"
#include "../../plugins/runtime-oci/image/base.h"
#include "../../plugins/runtime-oci/image/choice.h"
#include "../../plugins/runtime-oci/image/index.h"
#include "../../plugins/runtime-oci/image/manifest.h"
#include "../../plugins/runtime-oci/image/tar.h"
#include "tap.h"

#define HEX "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcde"
#define DIGEST(n) "sha256:" HEX n

static void path_is(const char *path, const char *want) {
  RI_AUTO_WHY why = {0};
  PU_AUTO_FREE got = ri_tar_path(path, 8, &why);
  is_str(got, want, path);
}

static void names_of_entries(void) {
  path_is("a/b", "a/b");
  path_is("./a//b/", "a/b");
  path_is("/etc/passwd", "etc/passwd");
  path_is("./", "");
  path_is("a/..b", "a/..b");
  path_is("a/../../b", NULL);
  path_is("..", NULL);
  path_is("1/2/3/4/5/6/7/8/9", NULL);
  PU_AUTO_FREE name = pu_calloc(1, 257);
  memset(name, 'x', 256);
  path_is(name, NULL);
  const char *hides = NULL;
  ok(ri_tar_whiteout("wh.a", &hides) == RI_NO_WHITEOUT, "a name like any other");
  ok(ri_tar_whiteout(".wh.a", &hides) == RI_WHITEOUT, "a whiteout");
  is_str(hides, "a", "and what it hides");
  ok(ri_tar_whiteout(".wh..wh..opq", &hides) == RI_OPAQUE, "an opaque folder");
  ok(ri_tar_whiteout(".wh..wh.plnk", &hides) == RI_AUFS, "aufs' own");
}

static const char *pick(const char *index, const char *platform, struct ri_descriptor *d, struct ri_why *why) {
  return ri_index_pick(index, strlen(index), platform, d, why) == 0 ? d->digest : NULL;
}

#define ENTRY(n, platform) "{\"digest\":\"" DIGEST(n) "\",\"size\":5,\"platform\":" platform "}"
static void indexes(void) {
  struct ri_descriptor d;
  RI_AUTO_WHY why = {0};
  const char *list = "{\"schemaVersion\":2,\"manifests\":[" ENTRY("1", "{\"os\":\"linux\",\"architecture\":\"amd64\"}") "," ENTRY(
      "2", "{\"os\":\"linux\",\"architecture\":\"arm64\",\"variant\":\"v8\"}") "," ENTRY("3", "{\"os\":\"unknown\",\"architecture\":\"unknown\"}") "," ENTRY(
      "4", "{\"os\":\"linux\",\"architecture\":\"arm\",\"variant\":\"v6\"}") "," ENTRY("5", "{\"os\":\"linux\",\"architecture\":\"arm\",\"variant\":\"v7\"}") "]}";
  ok(ri_is_index("", list, strlen(list)), "an index tells itself by what it holds");
  is_str(pick(list, "linux/amd64", &d, &why), DIGEST("1"), "this machine's");
  is_str(pick(list, "linux/arm64", &d, &why), DIGEST("2"), "a variant that goes without saying");
  is_str(pick(list, "linux/arm/v7", &d, &why), DIGEST("5"), "the variant itself");
  is_str(pick(list, "linux/arm/v8", &d, &why), DIGEST("5"), "the highest variant below");
  is_str(pick(list, "linux/arm/v5", &d, &why), NULL, "none below");
  is_str(why.text, "there is none for linux/arm/v5; there are: linux/amd64, linux/arm64/v8, linux/arm/v6, linux/arm/v7", "and what there is");
  ri_why_free(&why);
  const char *one = "{\"schemaVersion\":2,\"manifests\":[{\"digest\":\"" DIGEST("7") "\",\"size\":5}]}";
  is_str(pick(one, "linux/amd64", &d, &why), DIGEST("7"), "an index around one image without a platform");
}

static struct ri_manifest manifest;
static const char *refusal(const char *text, struct ri_why *why) {
  ri_why_free(why);
  return ri_manifest_read(text, strlen(text), &manifest, why) == 0 ? NULL : why->text;
}

#define CONFIG "\"config\":{\"digest\":\"" DIGEST("0") "\",\"size\":9}"
#define LAYER(type) "{\"mediaType\":\"" type "\",\"digest\":\"" DIGEST("1") "\",\"size\":7}"
static void manifests(void) {
  RI_AUTO_WHY why = {0};
  is_str(refusal("{\"schemaVersion\":2," CONFIG ",\"layers\":[" LAYER("application/vnd.oci.image.layer.v1.tar+zstd") "," LAYER(
                     "application/vnd.docker.image.rootfs.diff.tar.gzip") "," LAYER("application/vnd.oci.image.layer.v1.tar") "]}", &why), NULL, "OCI's and Docker's layers are read");
  is_int(manifest.nlayers, 3, "three layers");
  ok(manifest.layers[0].packed == RI_ZSTD && manifest.layers[1].packed == RI_GZIP && manifest.layers[2].packed == RI_PLAIN_TAR, "each as it is packed");
  ok(strstr(refusal("{\"schemaVersion\":1,\"fsLayers\":[]}", &why), "schema 1"), "schema 1 is refused in words");
  ok(why.code == BERTH_UNSUPPORTED, "as unsupported");
  ok(strstr(refusal("{\"schemaVersion\":2," CONFIG ",\"layers\":[" LAYER("application/vnd.oci.image.layer.v1.tar+gzip+encrypted") "]}", &why), "encrypted"), "an encrypted layer");
  ok(strstr(refusal("{\"schemaVersion\":2," CONFIG ",\"layers\":[" LAYER("text/plain") "]}", &why), "no container image"), "an artifact that is no image");
  ok(strstr(refusal("{\"schemaVersion\":2," CONFIG ",\"layers\":[{\"mediaType\":\"application/vnd.oci.image.layer.v1.tar\",\"digest\":\"sha256:1\",\"size\":1}]}", &why), "sha256"), "a digest that is none");
  ok(strstr(refusal("{\"schemaVersion\":2," CONFIG ",\"layers\":[{\"mediaType\":\"application/vnd.oci.image.layer.v1.tar\",\"digest\":\"" DIGEST("1") "\",\"size\":-1}]}", &why), "size"), "a size that is none");
  ok(strstr(refusal("[]", &why), "no JSON object"), "what is no manifest at all");
  ok(strstr(refusal("{\"schemaVersion\":2,\"manifests\":[]}", &why), "index"), "an index where a manifest should be");
  struct pu_buf many __attribute__((cleanup(pu_buf_free))) = {0};
  pu_buf_adds(&many, "{\"schemaVersion\":2," CONFIG ",\"layers\":[");
  for (int i = 0; i < 128; i++)
    pu_buf_addf(&many, "%s%s", i ? "," : "", LAYER("application/vnd.oci.image.layer.v1.tar"));
  pu_buf_adds(&many, "]}");
  ok(strstr(refusal(many.data, &why), "at most 127"), "more layers than a file system can be made of");
}

static void configurations(void) {
  struct ri_config c;
  RI_AUTO_WHY why = {0};
  /* The chain ids are those of the OCI image specification's own rule, computed with sha256sum. */
  const char *text = "{\"os\":\"linux\",\"architecture\":\"arm64\",\"variant\":\"v8\",\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[\"" DIGEST("1") "\",\"" DIGEST("2") "\"]}}";
  is_int(ri_config_read(text, strlen(text), &c, &why), 0, "a configuration");
  is_str(c.platform, "linux/arm64/v8", "its platform");
  is_str(c.chain[0], HEX "1", "the bottom's chain id is its diff id");
  is_str(c.chain[1], "3f0883a576c317bd31cc0d26e889322931e019a49a513b4d69ad9397a602827d", "the next one's is made of both");
  ri_config_free(&c);
  ok(ri_config_read("{}", 2, &c, &why) < 0 && strstr(why.text, "diff_ids"), "one without layers is none");
  ok(ri_platform_fits("linux/arm64", "linux/arm64/v8") && !ri_platform_fits("linux/arm", "linux/arm64") && ri_platform_fits(NULL, "x"), "platforms that fit");
}

static void names(void) {
  PU_AUTO_JSON index = json_pack("{s:i, s:{s:{s:[s,s], s:[s]}, s:{s:[s], s:[]}}}", "version", 1, "images", DIGEST("a"), "names", "docker.io/library/web:1",
                                 "docker.io/library/web:2", "digests", "docker.io/library/web@" DIGEST("9"), DIGEST("b"), "names", "reg.example:5000/x/y:z", "digests");
  const char *id = NULL;
  ok(ri_index_find(index, "web:1", &id) && !strcmp(id, DIGEST("a")), "by a familiar name");
  ok(ri_index_find(index, "index.docker.io/library/web:2", &id) && !strcmp(id, DIGEST("a")), "by an old name of the hub");
  ok(ri_index_find(index, "web@" DIGEST("9"), &id) && !strcmp(id, DIGEST("a")), "by digest");
  ok(ri_index_find(index, "reg.example:5000/x/y:z", &id) && !strcmp(id, DIGEST("b")), "of a registry with a port");
  ok(ri_index_find(index, DIGEST("b"), &id) && !strcmp(id, DIGEST("b")), "by id");
  ok(!ri_index_find(index, "web", &id) && !ri_index_find(index, "!", &id) && !ri_index_find(index, "", &id), "what is not there");
  ri_index_name(index, DIGEST("b"), "docker.io/library/web:1");
  ok(ri_index_find(index, "web:1", &id) && !strcmp(id, DIGEST("b")), "a name moves");
  ok(ri_index_find(index, "web:2", &id) && !strcmp(id, DIGEST("a")), "alone");
  is_str(ri_index_familiar("docker.io/library/web:1"), "web:1", "familiar");
  is_str(ri_index_familiar("docker.io/a/b:1"), "a/b:1", "familiar with a user");
  is_str(ri_index_familiar("reg.example/a:1"), "reg.example/a:1", "of another registry");
}

/* ---------------------------------------------------------------- automatic collection */

static json_t *used(const char *id, int at) { return json_pack("{s:s, s:i}", "id", id, "used_at", at); }

static const char *next_of(const json_t *list, const json_t *keep, int64_t before) {
  const json_t *found = ri_choice_next(list, keep, before);
  return found ? pu_str(found, "id") : NULL;
}

static void choices(void) {
  PU_AUTO_JSON list = json_pack("[o,o,o,o]", used("c", 30), used("b", 20), used("d", 40), used("a", 20));
  PU_AUTO_JSON none = json_array();
  PU_AUTO_JSON some = json_pack("[s,s]", "a", "b");
  is_str(next_of(list, none, 100), "a", "the one not used for longest, of two the lesser name");
  is_str(next_of(list, some, 100), "c", "but not what is in use");
  is_str(next_of(list, some, 30), NULL, "nor what was used at that time or later");
  is_str(next_of(list, NULL, 21), "a", "nothing to keep");
  is_str(next_of(none, none, 100), NULL, "nothing there");
  is_int(ri_choice_excess(85, 15, 85, 80), 0, "at the high mark nothing has to go");
  is_int(ri_choice_excess(86, 14, 85, 80), 6, "over it as much as is over the low one");
  is_int(ri_choice_excess(100, 0, 100, 0), 0, "100: never");
  is_int(ri_choice_excess(0, 0, 85, 80), 0, "a file system of no size");
  is_int(ri_choice_excess((uint64_t)90 << 50, (uint64_t)10 << 50, 85, 80) >> 50, 10, "large ones");
}

static void pins(void) {
  const char *one = DIGEST("1"), *two = DIGEST("2"), *three = DIGEST("3");
  PU_AUTO_JSON index = json_pack("{s:{s:{s:[s], s:[]}, s:{s:[], s:[s]}, s:{s:[], s:[]}}}", "images", one, "names", "docker.io/library/web:1", "digests", two, "names",
                                 "digests", "docker.io/library/db@" DIGEST("9"), three, "names", "digests");
  PU_AUTO_JSON names = json_pack("[s,s,s,s,s]", "web:1", "db:7@" DIGEST("9"), "gone:1", "no name at all", three);
  PU_AUTO_JSON keep = json_array();
  ri_choice_pin(index, names, keep);
  is_int(json_array_size(keep), 3, "a tag, a name with digest, an id");
  ok(!json_equal(json_array_get(keep, 0), json_array_get(keep, 1)) && pu_eq(json_string_value(json_array_get(keep, 2)), three), "in their order");
}

static void bases_are(const char *text, const char *want) {
  PU_AUTO_JSON args = json_pack("{s:s}", "TAG", "7");
  PU_AUTO_JSON names = ri_bases_named(text, strlen(text), args);
  PU_AUTO_FREE got = pu_json_text(names);
  is_str(got, want, "images that a Containerfile names");
}

static void bases(void) {
  bases_are("# FROM no\nfrom web:1 as A\nFROM a\nFROM scratch\n", "{\"web:1\":\"web:1\"}");
  bases_are("ARG BASE=\"shop/base\"\nARG TAG=1\nFROM --platform=linux/amd64 ${BASE}:$TAG\n", "{\"${BASE}:$TAG\":\"shop/base:7\"}");
  bases_are("FROM $UNKNOWN\nFROM ${X:-y}\n", "{}");
  bases_are("FROM a:1\nCOPY --chown=1 --from=b:1 \\\n x y\nCOPY --from=0 x y\nRUN --mount=type=bind,from=c:1,target=/x true --from=d\nFROM a:1\n", "{\"a:1\":\"a:1\",\"b:1\":\"b:1\",\"c:1\":\"c:1\"}");
  bases_are("FROM \\\r\n e:1\r\nFROM", "{\"e:1\":\"e:1\"}");
}

int main(void) {
  names_of_entries();
  indexes();
  manifests();
  configurations();
  names();
  choices();
  pins();
  bases();
  return done_testing();
}
