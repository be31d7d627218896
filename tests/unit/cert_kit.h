/* For tests of TLS: a certificate for 127.0.0.1 that signs itself. */
#ifndef BT_TESTS_CERT_KIT_H
#define BT_TESTS_CERT_KIT_H

#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>

/* Writes the certificate and the key as PEM. */
static inline void make_cert(const char *cert_file, const char *key_file) {
  EVP_PKEY *key = EVP_EC_gen("P-256");
  X509 *x = X509_new();
  X509_set_version(x, 2);
  ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
  X509_gmtime_adj(X509_getm_notBefore(x), -60);
  X509_gmtime_adj(X509_getm_notAfter(x), 3600);
  X509_set_pubkey(x, key);
  X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC, (const unsigned char *)"test", -1, -1, 0);
  X509_set_issuer_name(x, X509_get_subject_name(x));
  X509_EXTENSION *san = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, "IP:127.0.0.1");
  X509_add_ext(x, san, -1);
  X509_EXTENSION_free(san);
  X509_sign(x, key, EVP_sha256());
  FILE *f = fopen(cert_file, "w");
  PEM_write_X509(f, x);
  fclose(f);
  f = fopen(key_file, "w");
  PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL);
  fclose(f);
  X509_free(x);
  EVP_PKEY_free(key);
}

#endif
