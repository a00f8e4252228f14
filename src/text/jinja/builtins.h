// The filters, tests, methods and functions that templates find by name.
#pragma once

#include <string_view>

#include "text/jinja/runtime.h"
#include "text/jinja/value.h"

namespace batchwright::jinja {

using Filter = Value (*)(Runtime& runtime, const Value& value, const Arguments& arguments);
using Test = bool (*)(Runtime& runtime, const Value& value, const Arguments& arguments);
using Method = Value (*)(Runtime& runtime, const Value& self, const Arguments& arguments);

// Null where there is none of that name.
Filter find_filter(std::string_view name);
Filter find_sequence_filter(std::string_view name);
Test find_test(std::string_view name);

// A method of str, list, tuple, dict or loop bound to the value, or missing.
Value bound_method(Runtime& runtime, const Value& self, std::string_view name);
Method find_string_method(std::string_view name);
Method find_list_method(std::string_view name);
Method find_dict_method(std::string_view name);
Method find_loop_method(std::string_view name);

// range, dict, namespace, raise_exception, strftime_now; or missing.
Value global_function(Runtime& runtime, std::string_view name);

}  // namespace batchwright::jinja
