-- Purpose: plan for less GPU memory than the planner's own target, and see what that costs.
-- Data: the phantom, made in ./lunette-demo; another dataset's number or name as the argument.
-- last line: memory target: batch [0-9]+ at 8 GB, [0-9]+ at 0\.5 GB
if not arg[1] then lunette.roots{ root="lunette-demo" } end
local ds = arg[1] and lunette.dataset(tonumber(arg[1]) or arg[1]) or lunette.phantom()

local usual = lunette.plan(ds)
local small = lunette.plan{ dataset=ds, memory_gb=0.5, name="nnUNetPlans_small" }

for _, difference in ipairs(small:diff(usual)) do print(difference.path) end
print(small:why("2d.batch_size"))
print(("memory target: batch %d at 8 GB, %d at 0.5 GB"):format(
  usual.configurations["2d"].batch_size, small.configurations["2d"].batch_size))
