#include "config.h"
#include "nft.h"

#include <arpa/inet.h>
#include <dlfcn.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <nftables/libnftables.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../../common/util.h"
#include "netlink.h"

static struct {
  void *handle;
  struct nft_ctx *(*ctx_new)(uint32_t flags);
  void (*ctx_free)(struct nft_ctx *ctx);
  int (*buffer_output)(struct nft_ctx *ctx);
  const char *(*get_output)(struct nft_ctx *ctx);
  int (*buffer_error)(struct nft_ctx *ctx);
  const char *(*get_error)(struct nft_ctx *ctx);
  void (*set_flags)(struct nft_ctx *ctx, unsigned flags);
  int (*run)(struct nft_ctx *ctx, const char *buf);
} lib; /* a library is loaded once per process and stays */

struct ro_nft {
  struct nft_ctx *ctx;
  int netlink;
  uint32_t generation; /* of the ruleset when it was last known to be intact */
  uint64_t table;      /* handle of the table that was marked; 0: none */
  uint32_t use, rules;
};

static bool load(struct ro_why *why) {
  if (lib.handle)
    return true;
  void *h = dlopen("libnftables.so.1", RTLD_NOW | RTLD_LOCAL);
  if (!h) {
    ro_why_set(why, BERTH_UNSUPPORTED, "networks need libnftables, which cannot be loaded (%s): apt-get install libnftables1", dlerror());
    return false;
  }
#define SYMBOL(member, name) *(void **)&lib.member = dlsym(h, name)
  SYMBOL(ctx_new, "nft_ctx_new");
  SYMBOL(ctx_free, "nft_ctx_free");
  SYMBOL(buffer_output, "nft_ctx_buffer_output");
  SYMBOL(get_output, "nft_ctx_get_output_buffer");
  SYMBOL(buffer_error, "nft_ctx_buffer_error");
  SYMBOL(get_error, "nft_ctx_get_error_buffer");
  SYMBOL(set_flags, "nft_ctx_output_set_flags");
  SYMBOL(run, "nft_run_cmd_from_buffer");
#undef SYMBOL
  if (!lib.ctx_new || !lib.ctx_free || !lib.buffer_output || !lib.get_output || !lib.buffer_error || !lib.get_error || !lib.set_flags || !lib.run) {
    ro_why_set(why, BERTH_UNSUPPORTED, "libnftables.so.1 lacks functions that networks need: it must be of nftables 1.0 or later");
    dlclose(h);
    return false;
  }
  lib.handle = h;
  return true;
}

struct ro_nft *ro_nft_open(struct ro_why *why) {
  if (!load(why))
    return NULL;
  struct nft_ctx *ctx = lib.ctx_new(0);
  if (!ctx) {
    ro_why_set(why, BERTH_DENIED, "libnftables does not start: the runtime needs CAP_NET_ADMIN");
    return NULL;
  }
  lib.buffer_output(ctx);
  lib.buffer_error(ctx);
  lib.set_flags(ctx, NFT_CTX_OUTPUT_HANDLE);
  struct ro_nft *nft = pu_new(struct ro_nft);
  nft->ctx = ctx;
  nft->netlink = ro_nl_open_of(NETLINK_NETFILTER, why);
  if (nft->netlink < 0)
    ro_nft_close(&nft);
  return nft;
}

void ro_nft_close(struct ro_nft **nft) {
  if (!*nft)
    return;
  lib.ctx_free((*nft)->ctx);
  if ((*nft)->netlink >= 0)
    close((*nft)->netlink);
  free(*nft);
  *nft = NULL;
}

int ro_nft_run(struct ro_nft *nft, const char *commands, struct ro_why *why) {
  if (!*commands || lib.run(nft->ctx, commands) == 0) {
    (void)lib.get_output(nft->ctx);
    return 0;
  }
  const char *error = lib.get_error(nft->ctx);
  enum berth_code code = strstr(error, "Operation not permitted") ? BERTH_DENIED : BERTH_IO;
  return ro_why_set(why, code, "nft: %.*s", (int)strcspn(error, "\n"), error);
}

char *ro_nft_ask(struct ro_nft *nft, const char *command, struct ro_why *why) {
  if (ro_nft_run(nft, "", why) || lib.run(nft->ctx, command) != 0) {
    const char *error = lib.get_error(nft->ctx);
    ro_why_set(why, BERTH_IO, "nft: %.*s", (int)strcspn(error, "\n"), error);
    return NULL;
  }
  const char *text = lib.get_output(nft->ctx);
  return pu_strndup(text, strnlen(text, 4 << 20));
}

/* ---------------------------------------------------------------- is it still there? */

struct found {
  uint32_t generation, use, rules;
  uint64_t handle;
};

static void seen(const struct nlmsghdr *h, void *context) {
  struct found *f = context;
  const struct nlattr *a;
  switch (h->nlmsg_type & 0xff) {
  case NFT_MSG_NEWGEN:
    if ((a = ro_nl_find(h, sizeof(struct nfgenmsg), NFTA_GEN_ID)) && ro_nl_size(a) == 4)
      f->generation = ntohl(*(const uint32_t *)ro_nl_data(a));
    break;
  case NFT_MSG_NEWTABLE:
    if (!(a = ro_nl_find(h, sizeof(struct nfgenmsg), NFTA_TABLE_NAME)) || strcmp(ro_nl_data(a), "berth") != 0)
      break;
    if ((a = ro_nl_find(h, sizeof(struct nfgenmsg), NFTA_TABLE_HANDLE)) && ro_nl_size(a) == 8)
      memcpy(&f->handle, ro_nl_data(a), 8);
    if ((a = ro_nl_find(h, sizeof(struct nfgenmsg), NFTA_TABLE_USE)) && ro_nl_size(a) == 4)
      memcpy(&f->use, ro_nl_data(a), 4);
    break;
  case NFT_MSG_NEWRULE:
    f->rules += (a = ro_nl_find(h, sizeof(struct nfgenmsg), NFTA_RULE_TABLE)) && strcmp(ro_nl_data(a), "berth") == 0;
    break;
  default:
    break;
  }
}

static bool ask(struct ro_nft *nft, int type, struct found *f) {
  struct nfgenmsg head = {.nfgen_family = NFPROTO_INET, .version = NFNETLINK_V0};
  if (type == NFT_MSG_GETGEN) /* no list: the one answer is the end */
    return ro_nl_get(nft->netlink, (uint16_t)(NFNL_SUBSYS_NFTABLES << 8 | type), &head, sizeof head, seen, f, NULL) == 0;
  return ro_nl_dump(nft->netlink, (uint16_t)(NFNL_SUBSYS_NFTABLES << 8 | type), &head, sizeof head, seen, f, NULL) == 0;
}

void ro_nft_mark(struct ro_nft *nft) {
  struct found f = {0};
  if (!ask(nft, NFT_MSG_GETGEN, &f) || !ask(nft, NFT_MSG_GETTABLE, &f) || !ask(nft, NFT_MSG_GETRULE, &f))
    f.handle = 0;
  nft->generation = f.generation;
  nft->table = f.handle;
  nft->use = f.use;
  nft->rules = f.rules;
}

bool ro_nft_still(struct ro_nft *nft) {
  struct found f = {0};
  return nft->table && ask(nft, NFT_MSG_GETGEN, &f) && f.generation == nft->generation;
}

bool ro_nft_intact(struct ro_nft *nft) {
  struct found f = {0};
  if (ro_nft_still(nft))
    return true;
  return nft->table && ask(nft, NFT_MSG_GETTABLE, &f) && ask(nft, NFT_MSG_GETRULE, &f) && f.handle == nft->table && f.use == nft->use && f.rules == nft->rules;
}
