// Command pulumi-resource-vault serves the Terraform provider for Vault as a Pulumi provider.
//
// It exists for machines that cannot reach the vendor's release: it is the same provider code behind the same
// bridge, with the resources that this project uses mapped to the tokens of the published Python package.
package main

import (
	"github.com/hashicorp/terraform-provider-vault/schema"
	"github.com/hashicorp/terraform-provider-vault/vault"
	"github.com/pulumi/pulumi-terraform-bridge/v3/pkg/tfbridge"
	shim "github.com/pulumi/pulumi-terraform-bridge/v3/pkg/tfshim"
	shimv2 "github.com/pulumi/pulumi-terraform-bridge/v3/pkg/tfshim/sdk-v2"
	"github.com/pulumi/pulumi/sdk/v3/go/common/tokens"
)

// version is set by the build to that of the Python package, so that the engine accepts the pair.
var version = "0.0.0"

// tokenOf maps a Terraform resource to its Pulumi token. What is missing here is unknown to the plugin,
// and the engine says so by name.
var tokenOf = map[string]tokens.Type{
	"vault_approle_auth_backend_role":           "vault:appRole/authBackendRole:AuthBackendRole",
	"vault_approle_auth_backend_role_secret_id": "vault:appRole/authBackendRoleSecretId:AuthBackendRoleSecretId",
	"vault_audit":        "vault:index/audit:Audit",
	"vault_auth_backend": "vault:index/authBackend:AuthBackend",
	"vault_database_secret_backend_connection":  "vault:database/secretBackendConnection:SecretBackendConnection",
	"vault_database_secret_backend_role":        "vault:database/secretBackendRole:SecretBackendRole",
	"vault_database_secret_backend_static_role": "vault:database/secretBackendStaticRole:SecretBackendStaticRole",
	"vault_generic_endpoint":                    "vault:generic/endpoint:Endpoint",
	"vault_generic_secret":                      "vault:generic/secret:Secret",
	"vault_identity_entity":                     "vault:identity/entity:Entity",
	"vault_identity_entity_alias":               "vault:identity/entityAlias:EntityAlias",
	"vault_identity_group":                      "vault:identity/group:Group",
	"vault_identity_group_alias":                "vault:identity/groupAlias:GroupAlias",
	"vault_identity_group_member_entity_ids":    "vault:identity/groupMemberEntityIds:GroupMemberEntityIds",
	"vault_identity_group_policies":             "vault:identity/groupPolicies:GroupPolicies",
	"vault_jwt_auth_backend":                    "vault:jwt/authBackend:AuthBackend",
	"vault_jwt_auth_backend_role":               "vault:jwt/authBackendRole:AuthBackendRole",
	"vault_kubernetes_auth_backend_config":      "vault:kubernetes/authBackendConfig:AuthBackendConfig",
	"vault_kubernetes_auth_backend_role":        "vault:kubernetes/authBackendRole:AuthBackendRole",
	"vault_kv_secret":                           "vault:kv/secret:Secret",
	"vault_kv_secret_backend_v2":                "vault:kv/secretBackendV2:SecretBackendV2",
	"vault_kv_secret_v2":                        "vault:kv/secretV2:SecretV2",
	"vault_mount":                               "vault:index/mount:Mount",
	"vault_password_policy":                     "vault:index/passwordPolicy:PasswordPolicy",
	"vault_pki_secret_backend_cert":             "vault:pkiSecret/secretBackendCert:SecretBackendCert",
	"vault_pki_secret_backend_role":             "vault:pkiSecret/secretBackendRole:SecretBackendRole",
	"vault_pki_secret_backend_root_cert":        "vault:pkiSecret/secretBackendRootCert:SecretBackendRootCert",
	"vault_policy":                              "vault:index/policy:Policy",
	"vault_token":                               "vault:index/token:Token",
	"vault_token_auth_backend_role":             "vault:tokenauth/authBackendRole:AuthBackendRole",
	"vault_transit_secret_backend_key":          "vault:transit/secretBackendKey:SecretBackendKey",
	"vault_transit_secret_cache_config":         "vault:transit/secretCacheConfig:SecretCacheConfig",
	"vault_userpass_auth_backend_user":          "vault:index/userpassAuthBackendUser:UserpassAuthBackendUser",
}

func main() {
	provider := shimv2.NewProvider(schema.NewProvider(vault.Provider()).SchemaProvider())
	info := tfbridge.ProviderInfo{
		P:         provider,
		Name:      "vault",
		Version:   version,
		Resources: map[string]*tfbridge.ResourceInfo{},
	}
	provider.ResourcesMap().Range(func(name string, _ shim.Resource) bool {
		if token, known := tokenOf[name]; known {
			info.Resources[name] = &tfbridge.ResourceInfo{Tok: token}
		} else {
			info.IgnoreMappings = append(info.IgnoreMappings, name)
		}
		return true
	})
	provider.DataSourcesMap().Range(func(name string, _ shim.Resource) bool {
		info.IgnoreMappings = append(info.IgnoreMappings, name)
		return true
	})
	tfbridge.Main("vault", version, info, []byte(`{"name":"vault","version":"`+version+`"}`))
}
