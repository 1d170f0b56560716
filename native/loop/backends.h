// The one table of backends. A new one is a file in io/ and a line here.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "loop/generate.h"
#include "loop/respond.h"

namespace carom {

struct BackendEntry {
  std::string_view name;
  // "" = usable here, otherwise why not; throws Error for a bad link. Only with `tries` is anything attached
  // to the interface, or bound to it: several drivers reset their rings for that.
  std::string (*probe)(const IoConfig&, bool tries);
  // What the role's thread runs: opens the backend, tells the role, loops until the role says stop. A backend
  // that can't play a role has null there; one that plays it in the kernel need have no rings at all.
  void (*generate)(GeneratorRole&);
  void (*respond)(ResponderRole&);
};

std::span<const BackendEntry> backends() noexcept;

// Throws Error when there is none of that name.
const BackendEntry& find_backend(const std::string& name);

}  // namespace carom
