// How JavaScript gets into the addon: functions and methods that throw nothing but what JavaScript
// understands.
#pragma once

#include <napi.h>

#include <type_traits>
#include <utility>

#include "addon/convert.h"

namespace carom {

// Calls `action` with what JavaScript has passed, and returns undefined where it returns nothing.
template <class Action>
Napi::Value call_guarded(const Napi::CallbackInfo& info, Action&& action) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    if constexpr (std::is_void_v<decltype(action(info))>) {
      action(info);
      return info.Env().Undefined();
    } else {
      return action(info);
    }
  });
}

template <auto FUNCTION>
void export_function(Napi::Env env, Napi::Object exports, const char* name) {
  constexpr auto entry = [](const Napi::CallbackInfo& info) -> Napi::Value {
    return call_guarded(info, FUNCTION);
  };
  exports.Set(name, Napi::Function::New(env, entry, name));
}

// A function with something of its own, given to JavaScript.
template <class Action>
Napi::Function make_function(Napi::Env env, Action action) {
  return Napi::Function::New(env,
                             [action = std::move(action)](const Napi::CallbackInfo& info) -> Napi::Value {
                               return call_guarded(info, action);
                             });
}

// An object of JavaScript's that the addon implements.
template <class Type>
class Wrapped : public Napi::ObjectWrap<Type> {
 protected:
  using Napi::ObjectWrap<Type>::ObjectWrap;

  template <auto METHOD>
  static Napi::ClassPropertyDescriptor<Type> method(const char* name) {
    Napi::Value (Type::*entry)(const Napi::CallbackInfo&) = &Wrapped::template enter<METHOD>;
    return Napi::ObjectWrap<Type>::InstanceMethod(name, entry);
  }

 private:
  template <auto METHOD>
  Napi::Value enter(const Napi::CallbackInfo& info) {
    return call_guarded(
        info, [this](const Napi::CallbackInfo& given) { return (static_cast<Type*>(this)->*METHOD)(given); });
  }
};

}  // namespace carom
