/* What LLVM's libunwind asks of glibc, in musl's terms. */
#include <stdarg.h>
#include <stdio.h>

int __vfprintf_chk(FILE *stream, int flag, const char *format, va_list arguments)
{
	(void)flag;
	return vfprintf(stream, format, arguments);
}

int __vsnprintf_chk(char *text, size_t size, int flag, size_t known, const char *format, va_list arguments)
{
	(void)flag;
	(void)known;
	return vsnprintf(text, size, format, arguments);
}
