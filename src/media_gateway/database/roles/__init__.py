"""Roles with no more rights than they need: one that the application logs in as, and one that watches."""

from media_gateway.database.roles.making import RoleMade, RolesMade, RoleWish, make_roles, planned_roles

__all__ = ["RoleMade", "RoleWish", "RolesMade", "make_roles", "planned_roles"]
