// cuDNN, as far as onnxruntime-gpu calls it: each convolution has one plan, which needs no memory and computes nothing.
#include <stdint.h>
#include <stdlib.h>
void stub_trace(const char *name, const void *a, const void *b, long n);
enum { INT64 = 3, DESCRIPTOR = 15, INT32 = 23, KNOB_CHOICES = 302 };  // of cudnn_graph.h

size_t cudnnGetVersion(void) { return 90000 + 2400; }
const char *cudnnGetErrorString(int s) { return "stub"; }
void cudnnGetLastErrorString(char *text, size_t n) { if (n) *text = 0; }
int cudnnBackendCreateDescriptor(int type, void **d) { *d = malloc(64); return 0; }
int cudnnBackendExecute(void *h, void *plan, void *v) { stub_trace("cudnnBackendExecute", 0, 0, 0); return 0; }
int cudnnGetConvolutionForwardWorkspaceSize(void *h, void *x, void *w, void *c, void *y, int a, size_t *n) {
  *n = 0;
  return 0;
}
int cudnnBackendGetAttribute(void *d, int name, int type, int64_t room, int64_t *count, void *values) {
  int64_t n = name != KNOB_CHOICES && (type == DESCRIPTOR || type == INT64 || type == INT32);
  if (values && room > 0 && type == INT64) *(int64_t *)values = 0;
  if (values && room > 0 && type == INT32) *(int32_t *)values = 0;
  if (count) *count = n;
  return 0;
}
