-- Purpose: plan for less GPU memory than the planner's own target, and see what that costs.
-- Data: the phantom, made in ./lunette-demo; another dataset's number or name as the argument.
-- last line: memory target: [0-9]+ x 48 x 48 at 8 GB, 14 x 24 x 24 at 0\.03 GB
if not arg[1] then lunette.roots{ root="lunette-demo" } end
local ds = arg[1] and lunette.dataset(tonumber(arg[1]) or arg[1]) or lunette.phantom()

-- As little as this is for the small phantom; real data want 4 and more.
local usual = lunette.plan(ds)
local small = lunette.plan{ dataset=ds, memory_gb=0.03, name="nnUNetPlans_small" }

for _, difference in ipairs(small:diff(usual)) do print(difference.path) end
print(small:why("3d_fullres.patch_size"))
local function patch(plan) return table.concat(plan.configurations["3d_fullres"].patch_size, " x ") end
print("memory target: " .. patch(usual) .. " at 8 GB, " .. patch(small) .. " at 0.03 GB")
