/* A resolver whose name servers do not answer: loaded before the C library's own, it takes a minute for any name. */
#include <netdb.h>
#include <unistd.h>

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **found)
{
	(void)node;
	(void)service;
	(void)hints;
	(void)found;
	sleep(60);
	return EAI_AGAIN;
}
