// SHA-256 against the standard's vector, and hashes of JSON.

import Archives
import Foundation
import Testing

@Suite struct ContentHashTests {
  // FIPS 180-2, appendix B.1.
  @Test("The hash of abc is the standard's")
  func standardVector() {
    let hash = ContentHash(Data("abc".utf8))
    #expect(hash.description == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
    #expect(hash.short == "ba7816bf")
  }

  @Test("The order of keys does not change a hash, a value does")
  func keyOrder() {
    let a: JSON = ["x": 1, "y": [1, 2]]
    let b: JSON = ["y": [1, 2], "x": 1]
    let c: JSON = ["y": [2, 1], "x": 1]
    #expect(ContentHash(a) == ContentHash(b))
    #expect(ContentHash(a) != ContentHash(c))
  }
}
