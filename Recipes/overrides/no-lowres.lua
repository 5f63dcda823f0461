-- Purpose: do without 3d_lowres and the cascade where the planner would make them.
-- Data: the phantom, made in ./lunette-demo; another dataset's number or name as the argument.
-- last line: without lowres: 2d, 3d_fullres; with it: 2d, 3d_cascade_fullres, 3d_fullres, 3d_lowres
if not arg[1] then lunette.roots{ root="lunette-demo" } end
local ds = arg[1] and lunette.dataset(tonumber(arg[1]) or arg[1]) or lunette.phantom()

local function names(plan)
  local list = {}
  for name in pairs(plan.configurations) do list[#list + 1] = name end
  table.sort(list)
  return table.concat(list, ", ")
end

-- So little memory that a patch sees a small part of an image.
local usual = lunette.plan{ dataset=ds, memory_gb=0.02, name="nnUNetPlans_tiny" }
local single = lunette.plan{
  dataset = ds, memory_gb = 0.02, name = "nnUNetPlans_tiny_single",
  rules = { wants_lowres = function(ctx, default) return false end },
}
print(single:why("wants_lowres"))
print("without lowres: " .. names(single) .. "; with it: " .. names(usual))
