// The fields of a JavaScript object, asserted: what TypeScript has validated must be so.
#pragma once

#include <arpa/inet.h>
#include <napi.h>

#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include "core/error.h"

namespace carom {

[[noreturn]] inline void refuse(const char* name, const char* wanted) {
  throw Error(ErrorCode::internal, std::string("read the configuration: ") + name,
              std::string("it is not ") + wanted);
}

inline double number(const Napi::Object& object, const char* name, double min, double max) {
  Napi::Value value = object.Get(name);
  if (!value.IsNumber()) refuse(name, "a number");
  double result = value.As<Napi::Number>().DoubleValue();
  if (!(result >= min && result <= max)) refuse(name, "in its range");
  return result;
}

template <class T>
T integer(const Napi::Object& object, const char* name, double min, double max) {
  double result = number(object, name, min, max);
  if (result != std::floor(result)) refuse(name, "a whole number");
  return static_cast<T>(result);
}

inline bool boolean(const Napi::Object& object, const char* name) {
  Napi::Value value = object.Get(name);
  if (!value.IsBoolean()) refuse(name, "true or false");
  return value.As<Napi::Boolean>().Value();
}

inline std::string text(const Napi::Object& object, const char* name) {
  Napi::Value value = object.Get(name);
  if (!value.IsString()) refuse(name, "a text");
  return value.As<Napi::String>().Utf8Value();
}

inline Napi::Object nested(const Napi::Object& object, const char* name) {
  Napi::Value value = object.Get(name);
  if (!value.IsObject()) refuse(name, "an object");
  return value.As<Napi::Object>();
}

constexpr size_t MAX_SYMBOL = 8;
constexpr size_t MAX_ADDRESS = 45;  // INET6_ADDRSTRLEN without the end

inline std::vector<std::string> texts(const Napi::Object& object, const char* name,
                                      size_t most = MAX_SYMBOL) {
  Napi::Value value = object.Get(name);
  if (!value.IsArray()) refuse(name, "a list");
  Napi::Array array = value.As<Napi::Array>();
  std::vector<std::string> result;
  for (uint32_t i = 0; i < array.Length(); i++) {
    Napi::Value item = array[i];
    if (!item.IsString()) refuse(name, "a list of texts");
    result.push_back(item.As<Napi::String>().Utf8Value());
    if (result.back().empty() || result.back().size() > most)
      refuse(name, "a list of texts of the length that they may have");
  }
  return result;
}

inline void read_mac(const std::string& from, uint8_t* mac, const char* name) {
  unsigned bytes[6];
  char rest;
  if (sscanf(from.c_str(), "%2x:%2x:%2x:%2x:%2x:%2x%c", &bytes[0], &bytes[1], &bytes[2], &bytes[3], &bytes[4],
             &bytes[5], &rest) != 6) {
    refuse(name, "a MAC address");
  }
  for (int i = 0; i < 6; i++) mac[i] = static_cast<uint8_t>(bytes[i]);
}

// Fills 4 or 16 bytes; returns whether it is IPv6.
inline bool read_address(const std::string& from, uint8_t* address, const char* name) {
  memset(address, 0, 16);
  if (inet_pton(AF_INET, from.c_str(), address) == 1) return false;
  if (inet_pton(AF_INET6, from.c_str(), address) == 1) return true;
  refuse(name, "an address");
}

}  // namespace carom
