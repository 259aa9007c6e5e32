/* Debian 12's OpenSMTPD (6.8.0p2) cannot be a TLS server with OpenSSL 3: it marks the key that it gets from a certificate and
 * counts on the certificate to have the mark, but OpenSSL 3 hands out a copy ("missing private key"; OpenSMTPD issues 1171
 * and 1239, mended upstream by pull request 1208). Loaded before OpenSSL, this gives the certificate the key it handed out.
 * Not here: anything that changes what goes over the wire. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stddef.h>

static void *shared(const char *get, const char *set, void *of)
{
    void *(*getter)(void *) = (void *(*)(void *))dlsym(RTLD_NEXT, get);
    int (*setter)(void *, void *) = (int (*)(void *, void *))dlsym(RTLD_NEXT, set);
    void *key = getter ? getter(of) : NULL;
    if (key && setter)
        setter(of, key);
    return key;
}

void *EVP_PKEY_get1_RSA(void *of) { return shared("EVP_PKEY_get1_RSA", "EVP_PKEY_set1_RSA", of); }
void *EVP_PKEY_get1_EC_KEY(void *of) { return shared("EVP_PKEY_get1_EC_KEY", "EVP_PKEY_set1_EC_KEY", of); }
