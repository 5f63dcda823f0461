-- Purpose: plan for isotropic voxels, as fine as the finest axis, whatever the median spacing is.
-- Data: the phantom, made in ./lunette-demo; another dataset's number or name as the argument.
-- last line: isotropic: 1\.0 x 1\.0 x 1\.0 mm in place of 2\.0 x 1\.0 x 1\.0
if not arg[1] then lunette.roots{ root="lunette-demo" } end
local ds = arg[1] and lunette.dataset(tonumber(arg[1]) or arg[1]) or lunette.phantom()

local plan = lunette.plan{
  dataset = ds, name = "nnUNetPlans_isotropic",
  rules = {
    target_spacing = function(ctx, default)
      local spacing = default()
      local finest = math.min(spacing[1], spacing[2], spacing[3])
      return { finest, finest, finest }
    end,
  },
}

print(plan:why("3d_fullres.spacing"))
local function show(p)
  local s = p.configurations["3d_fullres"].spacing
  return ("%.1f x %.1f x %.1f"):format(s[1], s[2], s[3])
end
print("isotropic: " .. show(plan) .. " mm in place of " .. show(lunette.plan(ds)))
