DROP TABLE resources; DROP TABLE tenants; DROP TABLE organizations;
