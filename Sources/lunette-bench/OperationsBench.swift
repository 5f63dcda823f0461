// operations: what a training step spends on each kind of operation, or on each shape of it.

import Archives
import ArgumentParser
import Backends
import Tensors

/// Seconds, share and floating-point operations per second of everything a step does.
struct OperationsBench: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "operations",
    abstract: "Divide a training step among convolutions, norms, heads, losses and the rest.",
    discussion:
      "Takes the options of `step`. One line of JSON for the step, then one per operation, longest first.")

  @OptionGroup var step: StepBench

  @Flag(help: "A line for every shape in place of every kind.")
  var shapes = false

  func run() throws {
    guard let precision = Precision(name: step.precision) else {
      throw ValidationError("--precision takes fp32 or bf16, not `\(step.precision)`")
    }
    let backend = TimingBackend(try CPUBackend(threadCount: step.threads))
    let subject = try Subject(step, precision: precision, backend: backend)
    _ = try subject.step()
    backend.reset()
    let runs = Double(max(step.runs, 1))
    let total = try seconds { for _ in 0..<Int(runs) { _ = try subject.step() } } / runs
    var costs: [OperationKey: OperationCost] = [:]
    for (key, cost) in backend.costs {
      let key = shapes ? key : OperationKey(name: key.name, detail: "")
      costs[key, default: OperationCost()].calls += cost.calls
      costs[key, default: OperationCost()].seconds += cost.seconds / runs
      costs[key, default: OperationCost()].flops += cost.flops / runs
    }
    let operations = costs.values.reduce(0) { $0 + $1.flops }
    print(
      line([
        ("precision", .string(precision.shortName)), ("train_step_s", rounded(total)),
        ("gflop", rounded(operations / 1e9)), ("gflop_per_s", rounded(operations / total / 1e9)),
        ("outside_operations_s", rounded(total - costs.values.reduce(0) { $0 + $1.seconds })),
      ]))
    for (key, cost) in costs.sorted(by: { $0.value.seconds > $1.value.seconds }) {
      var fields: [(String, JSON)] = [("operation", .string(key.name))]
      if shapes { fields.append(("shape", .string(key.detail))) }
      fields += [
        ("calls", .integer(cost.calls / Int(runs))), ("seconds", rounded(cost.seconds)),
        ("share", rounded(cost.seconds / total)),
      ]
      if cost.flops > 0 { fields.append(("gflop_per_s", rounded(cost.flops / cost.seconds / 1e9))) }
      print(line(fields))
    }
  }

  private func line(_ fields: [(String, JSON)]) -> String {
    JSON.object(JSONObject(fields)).text(indent: nil)
  }

  private func rounded(_ value: Double) -> JSON { .number((value * 1e4).rounded() / 1e4) }
}
