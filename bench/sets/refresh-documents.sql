-- refresh-documents (2 min): the documents, to which 1 % was added since they were loaded
\ir documents.sql
