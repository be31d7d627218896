/* Sealing of secrets at rest: XChaCha20-Poly1305 (libsodium crypto_aead_xchacha20poly1305_ietf), a random nonce, the secret's name
 * as associated data, so that a stored blob cannot be moved to another name. The key file holds 32 bytes in base64,
 * mode 0600, made on first start; a key file others can read is refused. */
#ifndef BT_STATE_SEAL_H
#define BT_STATE_SEAL_H

#include <stddef.h>

#include "base/err.h"

struct bt_seal;

int bt_seal_open(const char *key_file, struct bt_seal **out, struct bt_err **err) BT_CHECK; /* makes the file where absent */
void bt_seal_free(struct bt_seal **seal); /* wipes the key */
/* "v1:<base64>"; the caller frees. name: "namespace/app/secret". Thread-safe. */
char *bt_seal_encrypt(const struct bt_seal *seal, const char *name, const void *data, size_t len);
/* The plain bytes (the caller wipes and frees), or -1 with BT_INTERNAL where the blob or name does not fit the key. */
int bt_seal_decrypt(const struct bt_seal *seal, const char *name, const char *blob, void **out, size_t *len,
                    struct bt_err **err) BT_CHECK;
/* Keyed fingerprint of a secret's content (hex, 32 digits): equal contents of one name are equal, nothing else leaks.
 * For "did it change?". The caller frees. */
char *bt_seal_fingerprint(const struct bt_seal *seal, const char *name, const void *data, size_t len);

#endif
