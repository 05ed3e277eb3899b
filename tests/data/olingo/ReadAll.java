import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.TreeMap;
import com.fasterxml.jackson.databind.ObjectMapper;
import org.apache.olingo.client.api.ODataClient;
import org.apache.olingo.client.api.communication.ODataClientErrorException;
import org.apache.olingo.client.api.communication.request.retrieve.ODataEntitySetRequest;
import org.apache.olingo.client.api.domain.ClientCollectionValue;
import org.apache.olingo.client.api.domain.ClientEntity;
import org.apache.olingo.client.api.domain.ClientEntitySet;
import org.apache.olingo.client.api.domain.ClientProperty;
import org.apache.olingo.client.api.domain.ClientValue;
import org.apache.olingo.client.api.edm.xml.XMLMetadata;
import org.apache.olingo.client.core.ODataClientFactory;
import org.apache.olingo.client.core.http.BasicAuthHttpClientFactory;
import org.apache.olingo.commons.api.edm.Edm;
import org.apache.olingo.commons.api.edm.EdmEntitySet;
import org.apache.olingo.commons.api.format.ContentType;

/**
 * Reads a service of OData as Apache Olingo's client does: validates the metadata, pages through every entity set, asks
 * one entity of each by its key, and a filter; prints each entity as a line of JSON, of the types that the metadata say.
 *
 * <p>Arguments: the address, the password, the page size, a set, a filter for it, and the sets' names.
 */
public class ReadAll {
  private static final ObjectMapper JSON = new ObjectMapper();

  public static void main(String[] arguments) throws Exception {
    String address = arguments[0];
    ODataClient client = ODataClientFactory.getEdmEnabledClient(address); // types by the metadata
    client.getConfiguration().setHttpClientFactory(new BasicAuthHttpClientFactory("any", arguments[1]));
    client.getConfiguration().setDefaultPubFormat(ContentType.parse(arguments[6]));

    XMLMetadata metadata = client.getRetrieveRequestFactory().getXMLMetadataRequest(address).execute().getBody();
    if (!client.metadataValidation().isServiceDocument(metadata)) {
      throw new IllegalStateException("no service document");
    }
    client.metadataValidation().validateMetadata(metadata);
    if (!client.metadataValidation().isV4Metadata(metadata)) {
      throw new IllegalStateException("no metadata of version 4");
    }
    Edm edm = client.getReader().readMetadata(metadata.getSchemaByNsOrAlias());

    var service = client.getRetrieveRequestFactory().getServiceDocumentRequest(address).execute().getBody();
    print("service", new ArrayList<>(service.getEntitySetNames()));
    for (EdmEntitySet set : edm.getEntityContainer().getEntitySets()) {
      readAll(client, edm, address, set, Integer.parseInt(arguments[2]));
    }
    URI filtered = client.newURIBuilder(address).appendEntitySetSegment(arguments[3]).filter(arguments[4])
        .orderBy(arguments[5]).count(true).top(7).build();
    ClientEntitySet found = client.getRetrieveRequestFactory().getEntitySetRequest(filtered).execute().getBody();
    for (ClientEntity entity : found.getEntities()) {
      print("filtered", values(entity.getProperties()));
    }
    print("counted", found.getCount());
    try {
      URI wrong = client.newURIBuilder(address).appendEntitySetSegment(arguments[3]).filter("nonsense eq 1").build();
      client.getRetrieveRequestFactory().getEntitySetRequest(wrong).execute();
      throw new IllegalStateException("a filter of nonsense was answered");
    } catch (ODataClientErrorException error) {
      print("refused", error.getODataError().getCode() + " " + error.getODataError().getTarget());
    }
  }

  private static void readAll(ODataClient client, Edm edm, String address, EdmEntitySet set, int size)
      throws Exception {
    URI next = client.newURIBuilder(address).appendEntitySetSegment(set.getName()).build();
    ClientEntity last = null;
    int pages = 0;
    while (next != null) {
      ODataEntitySetRequest<ClientEntitySet> request = client.getRetrieveRequestFactory().getEntitySetRequest(next);
      request.setPrefer(client.newPreferences().maxPageSize(size));
      ClientEntitySet page = request.execute().getBody();
      for (ClientEntity entity : page.getEntities()) {
        last = entity;
        check(entity, set);
        print(set.getName(), values(entity.getProperties()));
      }
      next = page.getNext();
      pages++;
    }
    print("pages", pages);
    if (last == null) {
      return;
    }
    Object key = last.getProperty("_id").getPrimitiveValue().toValue();
    URI one = client.newURIBuilder(address).appendEntitySetSegment(set.getName()).appendKeySegment(key).build();
    ClientEntity again = client.getRetrieveRequestFactory().getEntityRequest(one).execute().getBody();
    if (!values(again.getProperties()).equals(values(last.getProperties()))) {
      throw new IllegalStateException("by its key there is another entity than in the list: " + key);
    }
  }

  /** Every property of the type is there, of that type, and null only where it may be. */
  private static void check(ClientEntity entity, EdmEntitySet set) {
    for (String name : set.getEntityType().getPropertyNames()) {
      var declared = (org.apache.olingo.commons.api.edm.EdmProperty) set.getEntityType().getProperty(name);
      ClientProperty property = entity.getProperty(name);
      if (property == null || (property.hasNullValue() && !declared.isNullable())) {
        throw new IllegalStateException(set.getName() + "." + name + " is missing");
      }
      if (property.hasPrimitiveValue() && !property.hasNullValue()) {
        String kind = property.getPrimitiveValue().getTypeKind().getFullQualifiedName().toString();
        if (!kind.equals(declared.getType().getFullQualifiedName().toString())) {
          throw new IllegalStateException(set.getName() + "." + name + " is " + kind);
        }
      }
    }
  }

  private static TreeMap<String, Object> values(List<ClientProperty> properties) {
    TreeMap<String, Object> found = new TreeMap<>();
    for (ClientProperty property : properties) {
      found.put(property.getName(), value(property.getValue()));
    }
    return found;
  }

  private static Object value(ClientValue value) {
    if (value == null || (value.isPrimitive() && value.asPrimitive().toValue() == null)) {
      return null;
    }
    if (value.isCollection()) {
      List<Object> entries = new ArrayList<>();
      ClientCollectionValue<ClientValue> collection = value.asCollection();
      collection.forEach(entry -> entries.add(value(entry)));
      return entries;
    }
    if (value.isComplex()) {
      TreeMap<String, Object> found = new TreeMap<>();
      value.asComplex().forEach(property -> found.put(property.getName(), value(property.getValue())));
      return found;
    }
    Object plain = value.asPrimitive().toValue();
    return plain instanceof Number ? plain : value.asPrimitive().toString();
  }

  private static void print(String what, Object value) throws Exception {
    byte[] line = JSON.writeValueAsBytes(List.of(what, value));
    System.out.write(line);
    System.out.write("\n".getBytes(StandardCharsets.UTF_8));
    System.out.flush();
  }
}
