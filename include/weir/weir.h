/* SPDX-License-Identifier: Apache-2.0 */
/** All of the runtime: what a program that embeds libweir includes. */
#ifndef WEIR_WEIR_H
#define WEIR_WEIR_H

#include <weir/base.h>
#include <weir/callback.h>
#include <weir/chunk.h>
#include <weir/context.h>
#include <weir/debug.h>
#include <weir/error.h>
#include <weir/executor.h>
#include <weir/future.h>
#include <weir/introspection.h>
#include <weir/log.h>
#include <weir/loop.h>
#include <weir/pipe.h>
#include <weir/queue.h>
#include <weir/relay.h>
#include <weir/resolver.h>
#include <weir/scope.h>
#include <weir/server.h>
#include <weir/slice.h>
#include <weir/stream.h>
#include <weir/sync.h>
#include <weir/task.h>
#include <weir/time.h>
#include <weir/tls.h>
#include <weir/transport.h>

#endif
