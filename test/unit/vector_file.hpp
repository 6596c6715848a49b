// Files of test vectors as NIST, the RFCs and our own script write them: "name = value" lines, comments,
// headers in brackets, and lines that are a name alone.
#pragma once

#include <cstdint>
#include <fstream>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

#include "base/bytes.hpp"

namespace trustpoint::test {

using Buffer = std::vector<std::uint8_t>;

inline Buffer FromHex(const std::string& hex) {
  Buffer bytes;
  for (std::size_t i = 0; i + 1 < hex.size(); i += 2)
    bytes.push_back(static_cast<std::uint8_t>(std::stoul(hex.substr(i, 2), nullptr, 16)));
  return bytes;
}

inline std::string ToHex(base::Bytes bytes) {
  std::string hex;
  for (const std::uint8_t byte : bytes)
    for (const int shift : {4, 0}) hex += "0123456789abcdef"[byte >> shift & 15];
  return hex;
}

class Record {
 public:
  bool Has(const std::string& name) const { return fields_.contains(name); }
  const std::string& Text(const std::string& name) const { return fields_.at(name); }
  Buffer Bytes(const std::string& name) const { return FromHex(Text(name)); }
  std::uint32_t Number(const std::string& hex_name) const {
    return static_cast<std::uint32_t>(std::stoul(Text(hex_name), nullptr, 16));
  }
  void Set(const std::string& name, const std::string& value) { fields_[name] = value; }

 private:
  std::map<std::string, std::string> fields_;
};

// The records of the file. Each starts with the field named first; headers count as fields of all that
// follow. Throws when the file is missing or holds no record, so that a test without its vectors fails.
inline std::vector<Record> ReadVectors(const std::string& path, const std::string& first) {
  std::ifstream file(path);
  std::vector<Record> records;
  Record headers;
  for (std::string line; std::getline(file, line);) {
    while (!line.empty() && (line.back() == '\r' || line.back() == ' ')) line.pop_back();
    if (line.empty() || line[0] == '#') continue;
    const bool header = line[0] == '[';
    if (header) line = line.substr(1, line.size() - 2);
    const std::size_t equals = line.find('=');
    const std::string name = line.substr(0, line.find_last_not_of(" =", equals) + 1);
    const std::size_t start = equals == std::string::npos ? equals : line.find_first_not_of(' ', equals + 1);
    if (!header && name == first) records.push_back(headers);
    (header || records.empty() ? headers : records.back())
        .Set(name, start == std::string::npos ? "" : line.substr(start));
  }
  if (records.empty()) throw std::runtime_error("no vectors in " + path);
  return records;
}

}  // namespace trustpoint::test
